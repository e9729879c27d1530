//! The life of bearer tokens on two nodes of one deployment, against a model of it.

use std::time::{Duration, Instant};

use bulla_test_support::client::{Answer, Client};
use bulla_test_support::node::Node;
use bulla_test_support::sizes::{seed, size};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::vault::Bearer;
use crate::{BULLA, on_postgres};

/// How long nodes may take to know of an end: a second, and more on a machine with too much to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// A token of the model.
struct Known {
    token: String,
    parent: Option<usize>,
    lives: bool,
    renewable: bool,
}

#[test]
fn what_one_node_ends_is_over_on_the_other() {
    let (_folder, server) = on_postgres();
    let node = Node::start(BULLA, &server, "tokens");
    let (first, second) = (server.client(), node.client());
    let seed = seed("tokens");
    let mut random = Rng::with_seed(seed);
    let mut known: Vec<Known> = Vec::new();
    let (mut done, mut slowest) = (Vec::new(), Duration::ZERO);
    for _ in 0..size(150, 5_000) {
        let (here, there) = if random.bool() { (&first, &second) } else { (&second, &first) };
        let living: Vec<usize> = (0..known.len()).filter(|at| known[*at].lives).collect();
        let at = (!living.is_empty()).then(|| living[random.usize(..living.len())]);
        let mut ended = Vec::new();
        match (random.u8(..10), at) {
            (0..=2, _) | (_, None) => {
                let token = Bearer::login(here).token;
                known.push(Known { token, parent: None, lives: true, renewable: true });
                done.push(format!("{}: login", known.len() - 1));
            }
            (3..=5, Some(at)) => {
                let renewable = random.bool();
                let body = json!({ "ttl": "30m", "renewable": renewable });
                let made = Bearer::with(here, &known[at].token).ask("POST", "auth/token/create", &body).ok();
                let token = made.json["auth"]["client_token"].as_str().expect("a token").to_owned();
                known.push(Known { token, parent: Some(at), lives: true, renewable });
                done.push(format!("{}: made with {at}", known.len() - 1));
            }
            (6 | 7, Some(at)) => {
                let answer = Bearer::with(here, &known[at].token).ask("POST", "auth/token/renew-self", &json!({}));
                assert_eq!(answer.status, if known[at].renewable { 200 } else { 400 }, "{seed} {done:?}");
                done.push(format!("{at}: renewed"));
            }
            (_, Some(at)) => {
                // Both nodes know it before it ends, so that there is something to forget.
                assert!(is_believed(here, &known[at].token) && is_believed(there, &known[at].token), "{seed} {at} {done:?}");
                let answer = Bearer::with(here, &known[at].token).ask("POST", "auth/token/revoke-self", &Value::Null);
                assert_eq!(answer.status, 204);
                done.push(format!("{at}: revoked"));
                ended.push(at);
                for (child, token) in known.iter().enumerate().skip(at + 1) {
                    if token.parent.is_some_and(|parent| ended.contains(&parent)) {
                        ended.push(child);
                    }
                }
                ended.iter().for_each(|at| known[*at].lives = false);
            }
        }
        for at in ended {
            // Whoever ended it knows at once.
            assert!(!is_believed(here, &known[at].token), "{seed} {at} {done:?}");
            let begun = Instant::now();
            while is_believed(there, &known[at].token) {
                assert!(begun.elapsed() < PATIENCE, "{at} lives on at the other node; {seed} {done:?}");
                std::thread::sleep(Duration::from_millis(20));
            }
            slowest = slowest.max(begun.elapsed());
        }
        let at = random.usize(..known.len());
        assert_eq!(is_believed(there, &known[at].token), known[at].lives, "{seed} {at} {done:?}");
    }
    eprintln!("{} tokens; the other node knew after {slowest:?} at the latest", known.len());
}

#[test]
fn a_token_lives_as_long_as_it_was_given_and_no_longer_than_its_parent() {
    let (_folder, server) = on_postgres();
    let node = Node::start(BULLA, &server, "ends");
    let (first, second) = (server.client(), node.client());
    let root = Bearer::login(&first);
    let make = |of: &Bearer<'_>, body: &Value| {
        let made = of.ask("POST", "auth/token/create", body).ok();
        (made.json["auth"]["client_token"].as_str().expect("a token").to_owned(), made.json["auth"]["lease_duration"].clone())
    };
    let (parent, _) = make(&root, &json!({ "explicit_max_ttl": "6s", "ttl": "3s" }));
    let begun = Instant::now();
    let (child, lease) = make(&Bearer::with(&first, &parent), &json!({ "ttl": "1h" }));
    assert!(lease.as_i64().expect("seconds") <= 6, "{lease}");
    // A renewal goes as far as the end that it was made with.
    let renewed = Bearer::with(&second, &parent).ask("POST", "auth/token/renew-self", &json!({ "increment": 3600 }));
    if begun.elapsed() < Duration::from_secs(3) {
        assert!(renewed.ok().json["auth"]["lease_duration"].as_i64().expect("seconds") <= 6);
    }
    for client in [&first, &second] {
        for token in [&parent, &child] {
            while is_believed(client, token) {
                assert!(begun.elapsed() < PATIENCE, "it lives on");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
    assert!(is_believed(&second, &root.token));
}

#[test]
fn a_token_ends_with_those_above_it_however_it_and_they_are_renewed() {
    let (_folder, server) = on_postgres();
    let node = Node::start(BULLA, &server, "above");
    let (first, second) = (server.client(), node.client());
    let seconds = |answer: &Answer| answer.json["auth"]["lease_duration"].as_i64().expect("seconds");
    let make = |of: &str, body: &Value| {
        let made = Bearer::with(&first, of).ask("POST", "auth/token/create", body).ok();
        (made.json["auth"]["client_token"].as_str().expect("a token").to_owned(), seconds(&made))
    };
    let renew = |client: &Client, of: &str, by: &Value| {
        seconds(&Bearer::with(client, of).ask("POST", "auth/token/renew-self", &json!({ "increment": by })).ok())
    };
    let root = Bearer::login(&first).token;
    let (parent, _) = make(&root, &json!({ "ttl": "10m" }));
    let (child, lease) = make(&parent, &json!({ "ttl": "20h" }));
    assert!(lease <= 600, "{lease}");
    let (grandchild, lease) = make(&child, &json!({ "ttl": "20h", "explicit_max_ttl": "20h" }));
    assert!(lease <= 600, "{lease}");
    assert!(renew(&second, &grandchild, &json!("20h")) <= 600);
    // When the parent may live longer, so may they, each after that above it.
    assert!(renew(&first, &parent, &json!("50m")) > 600);
    for token in [&child, &grandchild] {
        assert!((601..=3000).contains(&renew(&second, token, &json!("20h"))));
    }
    // Both nodes know them as living longer when the parent's end comes nearer.
    for client in [&first, &second] {
        assert!([&parent, &child, &grandchild].iter().all(|token| is_believed(client, token)));
    }
    let begun = Instant::now();
    assert!(renew(&first, &parent, &json!(2)) <= 2);
    let told = Bearer::with(&first, &grandchild).ask("GET", "auth/token/lookup-self", &Value::Null);
    if told.status == 200 {
        assert!(told.json["data"]["ttl"].as_i64().expect("seconds") <= 2, "{told:?}");
    }
    for client in [&first, &second] {
        for token in [&child, &grandchild] {
            while is_believed(client, token) {
                assert!(begun.elapsed() < PATIENCE, "it lives on");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
    assert!(is_believed(&second, &root));
    // There is a limit to how many stand one above the other.
    let (mut last, mut made) = (root, 0);
    let refused = loop {
        let answer = Bearer::with(&first, &last).ask("POST", "auth/token/create", &json!({ "ttl": "1h" }));
        if answer.status != 200 {
            break answer;
        }
        last = answer.json["auth"]["client_token"].as_str().expect("a token").to_owned();
        made += 1;
    };
    assert!(refused.status == 400 && made == 16, "{made} {refused:?}");
}

fn is_believed(client: &Client, token: &str) -> bool {
    let answer = Bearer::with(client, token).ask("GET", "auth/token/lookup-self", &Value::Null);
    assert!([200, 403].contains(&answer.status), "{answer:?}");
    answer.status == 200
}
