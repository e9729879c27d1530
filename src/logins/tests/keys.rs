//! Keys that come and go.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::issuer::{AT_ONCE, NOW, Pair, Served, claims, issuer, speaks};
use crate::logins::jwt::Jwts;
use crate::logins::keys::Pace;
use crate::logins::options::{Algorithm, KeysFrom, LoginError, Options};
use crate::logins::{Issuer, Logins};

fn token(pair: &Pair, id: &str) -> String {
    pair.token(&json!({ "alg": "ES256", "kid": id }), &claims())
}

fn from(served: &Served) -> Issuer {
    issuer(KeysFrom::Url { url: served.url.clone(), authorities: None })
}

#[test]
fn a_new_key_is_asked_for_and_an_old_one_is_not() {
    let served = Served::new(Duration::ZERO);
    let (old, new) = (Pair::new(Algorithm::ES256), Pair::new(Algorithm::ES256));
    served.gives(&[old.jwk(json!({ "kid": "old" }))]);
    let jwts = Jwts::paced(from(&served), AT_ONCE).expect("an issuer");
    assert_eq!(served.asked(), 0, "nobody has logged in");
    for _ in 0..3 {
        assert_eq!(jwts.speaks("app", &token(&old, "old"), NOW), Ok(speaks()));
    }
    assert_eq!(served.asked(), 1);
    served.gives(&[new.jwk(json!({ "kid": "new" })), old.jwk(json!({ "kid": "old" }))]);
    assert_eq!(jwts.speaks("app", &token(&new, "new"), NOW), Ok(speaks()));
    assert_eq!(jwts.speaks("app", &token(&old, "old"), NOW), Ok(speaks()));
    assert_eq!(served.asked(), 2);
    assert!(jwts.speaks("app", &token(&new, "old"), NOW).is_err());
    assert_eq!(served.asked(), 2, "a wrong signature of a known key is no reason to ask");
}

#[test]
fn guesses_do_not_reach_the_issuer() {
    let served = Served::new(Duration::ZERO);
    let (pair, stranger) = (Pair::new(Algorithm::ES256), Pair::new(Algorithm::ES256));
    served.gives(&[pair.jwk(json!({ "kid": "a" }))]);
    let jwts = Jwts::paced(from(&served), Pace { between: Duration::from_secs(600), ..AT_ONCE }).expect("an issuer");
    for guess in 0..200 {
        assert!(jwts.speaks("app", &token(&stranger, &format!("guess {guess}")), NOW).is_err());
    }
    assert_eq!(jwts.speaks("app", &token(&pair, "a"), NOW), Ok(speaks()));
    assert_eq!(served.asked(), 1);
}

#[test]
fn few_wait_for_an_issuer_that_is_slow() {
    let served = Served::new(Duration::from_millis(500));
    let pair = Pair::new(Algorithm::ES256);
    served.gives(&[pair.jwk(json!({ "kid": "a" }))]);
    let pace = Pace { between: Duration::from_secs(600), ..AT_ONCE };
    let jwts = Arc::new(Jwts::paced(from(&served), pace).expect("an issuer"));
    let token = token(&pair, "a");
    let logins: Vec<_> = (0..40)
        .map(|_| {
            let (jwts, token) = (Arc::clone(&jwts), token.clone());
            std::thread::spawn(move || jwts.speaks("app", &token, NOW))
        })
        .collect();
    let told: Vec<_> = logins.into_iter().map(|login| login.join().expect("no panic")).collect();
    let (served_at_once, turned_away) = told.iter().partition::<Vec<_>, _>(|told| told.is_ok());
    assert!(!served_at_once.is_empty());
    assert!(turned_away.iter().all(|told| matches!(told, Err(LoginError::Unavailable(_)))), "{turned_away:?}");
    assert_eq!(served.asked(), 1);
    assert_eq!(jwts.speaks("app", &token, NOW), Ok(speaks()), "and then all are let in");
}

#[test]
fn a_withdrawn_key_ends_in_time_and_so_does_one_of_an_issuer_that_is_away() {
    let served = Served::new(Duration::ZERO);
    let (old, new) = (Pair::new(Algorithm::ES256), Pair::new(Algorithm::ES256));
    served.gives(&[old.jwk(json!({ "kid": "old" }))]);
    let renewing = Jwts::paced(from(&served), Pace { renew: Duration::ZERO, ..AT_ONCE }).expect("an issuer");
    let keeping = Jwts::paced(from(&served), Pace { renew: Duration::ZERO, keep: Duration::ZERO, ..AT_ONCE });
    let keeping = keeping.expect("an issuer");
    assert_eq!(renewing.speaks("app", &token(&old, "old"), NOW), Ok(speaks()));
    *served.page.lock() = None;
    assert_eq!(renewing.speaks("app", &token(&old, "old"), NOW), Ok(speaks()), "what is known holds for a while");
    let told = keeping.speaks("app", &token(&old, "old"), NOW);
    assert!(matches!(&told, Err(LoginError::Unavailable(why)) if why.contains("its status is 503")), "{told:?}");
    served.gives(&[new.jwk(json!({ "kid": "new" }))]);
    assert!(renewing.speaks("app", &token(&old, "old"), NOW).is_err(), "withdrawn");
    assert_eq!(renewing.speaks("app", &token(&new, "new"), NOW), Ok(speaks()));
}

#[test]
fn what_is_configured_anew_holds_at_once_and_what_is_not_keeps_its_keys() {
    let served = Served::new(Duration::ZERO);
    let pair = Pair::new(Algorithm::ES256);
    served.gives(&[pair.jwk(json!({ "kid": "a" }))]);
    let of = |issuer: Issuer| Options { issuers: vec![issuer], certificates: Vec::new() };
    let logins = Logins::new(of(from(&served))).expect("logins");
    let by = |role: &str| logins.by_jwt("jwt", role, &token(&pair, "a"), NOW);
    assert_eq!(by("app"), Ok(speaks()));
    logins.replace(of(from(&served))).expect("logins");
    assert_eq!(by("app"), Ok(speaks()));
    assert_eq!(served.asked(), 1);
    let mut other = from(&served);
    other.roles[0].name = "other".to_owned();
    logins.replace(of(other)).expect("logins");
    assert!(by("app").is_err() && by("other").is_ok());
    let wrong = of(issuer(KeysFrom::File("/nowhere".into())));
    assert!(logins.replace(wrong).expect_err("no file").contains("auth/jwt: /nowhere"));
    assert!(by("other").is_ok(), "what was there stays");
    logins.replace(Options::default()).expect("none");
    assert!(by("other").is_err() && !logins.takes_jwt("jwt"));
}

#[test]
fn keys_come_over_tls_or_from_this_host() {
    for (url, safe) in [
        ("https://issuer/keys", true),
        ("http://127.0.0.1:8080/keys", true),
        ("http://[::1]:8080/keys", true),
        ("http://localhost/keys", true),
        ("http://issuer/keys", false),
        ("http://127.0.0.1.evil/keys", false),
        ("http://127.0.0.1:80@evil/keys", false),
        ("http://localhost.evil:80/keys", false),
        ("file:///etc/keys", false),
        ("issuer/keys", false),
    ] {
        let issuer = issuer(KeysFrom::Url { url: url.to_owned(), authorities: None });
        assert_eq!(Jwts::paced(issuer, AT_ONCE).is_ok(), safe, "{url}");
    }
}
