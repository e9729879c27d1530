//! Against a server of a few lines. What follows from ages is tested in `table`, without waiting.

use super::*;
use crate::secret::AccessKey;
use crate::testing::{answer, answering, serving};

/// Long enough for any machine; short only where the test does not wait for it.
const LONG: Duration = Duration::from_secs(600);

fn client(endpoint: &str) -> Client {
    Client::builder(endpoint).access_key(AccessKey::new("id", "s")).attempts(1).build().expect("an endpoint")
}

fn value(version: &str) -> String {
    format!(r#"{{"SecretName":"a","VersionId":"{version}","SecretData":"v","SecretDataType":"text"}}"#)
}

fn given(version: &str) -> String {
    answer("200 OK", "", &value(version))
}

#[test]
fn a_value_is_asked_for_once_and_outlives_the_server() {
    let (endpoint, asked) = serving(vec![given("1"), given("2")]);
    let cache = Cache::builder(client(&endpoint)).ttl(LONG).background(false).build();
    for _ in 0..3 {
        assert_eq!(cache.secret_value("a", &Selector::Current).expect("there").version, "1");
    }
    assert_eq!(asked.try_iter().count(), 1);
    assert_eq!(cache.read_anew("a", &Selector::Current).expect("there").version, "2");
    assert_eq!((cache.len(), cache.failure()), (1, None));
    // Nobody is there any more.
    cache.read_anew("a", &Selector::Current).expect_err("away");
    assert!(cache.failure().is_some());
    assert_eq!(cache.secret_value("a", &Selector::Current).expect("kept").version, "2");
    cache.forget("a", &Selector::Current);
    assert!(cache.is_empty());
    cache.secret_value("a", &Selector::Current).expect_err("away");
}

#[test]
fn an_old_value_serves_while_the_server_is_away_and_not_when_it_refuses() {
    let gone = answer("404 Not Found", "", r#"{"Code":"Forbidden.ResourceNotFound","Message":"m","RequestId":"r"}"#);
    let broken = answer("500 Internal Server Error", "", r#"{"Code":"InternalFailure","Message":"m","RequestId":"r"}"#);
    let (endpoint, asked) = serving(vec![given("1"), broken, gone]);
    let cache = Cache::builder(client(&endpoint)).ttl(Duration::ZERO).serve_stale(LONG).background(false).build();
    assert_eq!(cache.secret_value("a", &Selector::Current).expect("there").version, "1");
    assert_eq!(cache.secret_value("a", &Selector::Current).expect("the old one").version, "1");
    assert_eq!(asked.try_iter().count(), 2);
    assert!(cache.failure().is_some_and(|reason| reason.contains("InternalFailure")));
    let refused = cache.read_anew("a", &Selector::Current).expect_err("deleted");
    assert_eq!((refused.code(), cache.len()), ("Forbidden.ResourceNotFound", 0));

    let (endpoint, _asked) = serving(vec![given("1")]);
    let never = Cache::builder(client(&endpoint)).ttl(Duration::ZERO).serve_stale(Duration::ZERO).background(false).build();
    never.secret_value("a", &Selector::Current).expect("there");
    never.secret_value("a", &Selector::Current).expect_err("not without the server");
}

#[test]
fn what_is_in_use_is_read_in_the_background() {
    let mut version = 0;
    let (endpoint, asked) = answering(100_000, move |request| {
        version += 1;
        if request.contains("BatchGetSecretValue") {
            let values = format!(r#"{{"SecretValues":[{}],"Errors":[]}}"#, value(&version.to_string()));
            answer("200 OK", "", &values)
        } else {
            given(&version.to_string())
        }
    });
    let cache = Cache::builder(client(&endpoint)).ttl(Duration::from_millis(200)).build();
    let until = Instant::now() + LONG;
    let mut batches = 0;
    while batches < 3 {
        cache.secret_value("a", &Selector::Current).expect("there");
        thread::sleep(Duration::from_millis(5));
        batches += asked.try_iter().filter(|request| request.contains("BatchGetSecretValue")).count();
        assert!(Instant::now() < until, "nothing is read in the background");
    }
    assert!(cache.secret_value("a", &Selector::Current).expect("there").version.parse::<u32>().is_ok_and(|v| v > 1));
}

/// What holds a value holds it beyond the cache; nothing else does.
#[test]
fn a_dropped_cache_holds_nothing() {
    let (endpoint, _asked) = serving(vec![given("1")]);
    let cache = Cache::builder(client(&endpoint)).ttl(LONG).build();
    let held = cache.secret_value("a", &Selector::Current).expect("there");
    assert_eq!(Arc::strong_count(&held), 2);
    drop(cache);
    assert_eq!(Arc::strong_count(&held), 1);
}
