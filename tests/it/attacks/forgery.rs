//! Forged blobs in great number: the service stays healthy, the token stays connected, and callers with good ones are served as fast
//! as beside neighbours whose blobs are good too.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulla_test_support::client::Client;
use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;

use crate::api::ciphertext_blobs::{encrypt, new_key, refused};
use crate::on_sqlite;

/// Neighbours of the one caller who is measured.
const NEIGHBOURS: usize = 3;

/// Good and forging neighbours take turns, so that both meet the machine as it is.
const ROUNDS: usize = 10;

/// Of the goodput beside good neighbours, what must be left beside forgers. They cost no more than others; the rest is noise.
const LEAST: f64 = 0.5;

/// What a caller with a good blob got.
#[derive(Default)]
struct Tally {
    served: usize,
    seconds: f64,
}

impl Tally {
    fn rate(&self) -> f64 {
        self.served as f64 / self.seconds
    }
}

/// Asks with a good blob while the neighbours send `count` requests of their own.
fn beside(server: &Server, whole: &str, tally: &mut Tally, count: usize, neighbour: impl Fn(&Client, usize) + Sync) {
    let (next, served, ended) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    thread::scope(|scope| {
        let valid = scope.spawn(|| {
            let client = server.client();
            while !ended.load(Ordering::Relaxed) {
                open(&client, whole);
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
        let work = || {
            let client = server.client();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return;
                }
                neighbour(&client, n);
            }
        };
        let neighbours: Vec<_> = (0..NEIGHBOURS).map(|_| scope.spawn(work)).collect();
        let neighbours: Vec<_> = neighbours.into_iter().map(thread::ScopedJoinHandle::join).collect();
        ended.store(true, Ordering::Relaxed);
        valid.join().expect("valid callers are served");
        neighbours.into_iter().for_each(|neighbour| neighbour.expect("neighbours get the answer that is theirs"));
    });
    tally.served += served.into_inner();
    tally.seconds += begun.elapsed().as_secs_f64();
}

fn open(client: &Client, whole: &str) {
    assert_eq!(client.call("Decrypt", &[("CiphertextBlob", whole)]).ok().text("Plaintext"), "QQ==");
}

#[test]
fn forged_blobs_harm_nobody() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let key = new_key(&client, "Aliyun_AES_256");
    let blob = STANDARD.decode(encrypt(&client, &key, "QQ==", "")).expect("Base64");
    let whole = STANDARD.encode(&blob);
    let forged = size(10_000, 100_000);

    let forge = |client: &Client, n: usize| {
        // The head stays, so that each of them reaches the token; IV, ciphertext and tag change in turn.
        let mut changed = blob.clone();
        let at = 18 + n % (blob.len() - 18);
        changed[at] ^= u8::try_from(1 + n % 255).expect("at most 255");
        refused(&client.call("Decrypt", &[("CiphertextBlob", &STANDARD.encode(changed))]), "forged");
    };

    let (mut usual, mut attacked) = (Tally::default(), Tally::default());
    for round in 0..ROUNDS {
        let of_round = forged / ROUNDS;
        beside(&server, &whole, &mut usual, of_round / 2, |client, _| open(client, &whole));
        beside(&server, &whole, &mut attacked, of_round, |client, n| forge(client, round * of_round + n));
    }
    let (usual, attacked) = (usual.rate(), attacked.rate());
    eprintln!("{forged} forged blobs; good answers a second beside them: {attacked:.0}, beside good ones: {usual:.0}");
    assert!(attacked > usual * LEAST, "{attacked:.0} good answers a second beside forgers, {usual:.0} beside others");
    assert_eq!(client.figure("bulla_token_epochs_total"), 1.0, "no reconnect");
    assert_eq!(client.figure("bulla_token_up"), 1.0);
    assert_eq!(client.figure("bulla_integrity_alarms_total"), 0.0);
}
