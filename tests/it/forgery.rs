//! Forged blobs in great number: the service stays healthy, the token stays connected, and callers with good ones are served.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulla_test_support::sizes::size;

use super::blobs::{encrypt, new_key, refused};
use super::on_sqlite;

#[test]
fn forged_blobs_harm_nobody() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let key = new_key(&client, "Aliyun_AES_256");
    let blob = STANDARD.decode(encrypt(&client, &key, "QQ==", "")).expect("Base64");
    let whole = STANDARD.encode(&blob);
    let forged = size(10_000, 1_000_000);
    let (next, served, ended) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));

    thread::scope(|scope| {
        let valid = scope.spawn(|| {
            let client = server.client();
            while !ended.load(Ordering::Relaxed) {
                let opened = client.call("Decrypt", &[("CiphertextBlob", &whole)]).ok();
                assert_eq!(opened.text("Plaintext"), "QQ==");
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
        let forgers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let client = server.client();
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= forged {
                            return;
                        }
                        // The head stays, so that each of them reaches the token; IV, ciphertext and tag change in turn.
                        let mut changed = blob.clone();
                        let at = 18 + n % (blob.len() - 18);
                        changed[at] ^= u8::try_from(1 + n % 255).expect("at most 255");
                        refused(&client.call("Decrypt", &[("CiphertextBlob", &STANDARD.encode(changed))]), "forged");
                    }
                })
            })
            .collect();
        let forgers: Vec<_> = forgers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        ended.store(true, Ordering::Relaxed);
        valid.join().expect("valid callers are served");
        forgers.into_iter().for_each(|forger| forger.expect("forgeries are refused"));
    });

    assert!(served.load(Ordering::Relaxed) > forged / 100, "{} served meanwhile", served.load(Ordering::Relaxed));
    assert_eq!(client.figure("bulla_token_epochs_total"), 1.0, "no reconnect");
    assert_eq!(client.figure("bulla_token_up"), 1.0);
    assert_eq!(client.figure("bulla_integrity_alarms_total"), 0.0);
}
