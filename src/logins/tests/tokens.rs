//! What a JWT has to be.

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::issuer::{AT_ONCE, NOW, Pair, claims, encoded, issuer, set_file, speaks};
use crate::logins::jwt::Jwts;
use crate::logins::options::{Algorithm, Issuer, KeysFrom, LoginError};

fn refused(why: &str) -> Result<super::super::Speaks, LoginError> {
    Err(LoginError::Refused(why.to_owned()))
}

fn with(change: &[(&str, Value)]) -> Value {
    let mut claims = claims();
    for (name, value) in change {
        match value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(*name)),
            value => claims[*name] = value.clone(),
        }
    }
    claims
}

#[test]
fn every_algorithm_from_a_set_and_from_pem() {
    let folder = tempfile::tempdir().expect("a folder");
    let rsa = [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
    let families: [&[Algorithm]; 4] = [&rsa, &[Algorithm::ES256], &[Algorithm::ES384], &[Algorithm::EdDSA]];
    for family in families {
        let (pair, stranger) = (Pair::new(family[0]), Pair::new(family[0]));
        let pem = folder.path().join("keys.pem");
        std::fs::write(&pem, format!("# ours\n{}{}", Pair::new(Algorithm::ES256).pem(), pair.pem())).expect("written");
        let set = set_file(folder.path(), &[json!({ "kty": "unheard of" }), pair.jwk(json!({ "kid": "a" }))]);
        for keys in [KeysFrom::File(set), KeysFrom::Pem(pem)] {
            let options = Issuer { algorithms: family.to_vec(), ..issuer(keys) };
            let jwts = Jwts::paced(options, AT_ONCE).expect("keys");
            for algorithm in family {
                for header in [json!({ "alg": algorithm.name() }), json!({ "alg": algorithm.name(), "kid": "a", "typ": "JWT" })]
                {
                    let told = jwts.speaks("app", &pair.token(&header, &claims()), NOW);
                    assert_eq!(told, Ok(speaks()), "{header}");
                    let told = jwts.speaks("app", &stranger.token(&header, &claims()), NOW);
                    assert!(
                        matches!(told, Err(LoginError::Refused(why)) if why.ends_with("validated the token signature")),
                        "{header}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_refused_and_in_which_words() {
    const BAD_SIGNATURE: &str =
        "error validating token: error verifying token signature: no known key successfully validated the token signature";
    let folder = tempfile::tempdir().expect("a folder");
    let pair = Pair::new(Algorithm::ES256);
    let keys = KeysFrom::File(set_file(folder.path(), &[pair.jwk(json!({ "kid": "a" }))]));
    let jwts = Jwts::paced(issuer(keys), AT_ONCE).expect("keys");
    let now = NOW.0 / 1000;
    let header = json!({ "alg": "ES256", "kid": "a" });
    let table = [
        (with(&[("iss", json!("https://other"))]), "error validating token: invalid issuer (iss) claim"),
        (with(&[("iss", Value::Null)]), "error validating token: invalid issuer (iss) claim"),
        (with(&[("iss", json!(["https://issuer"]))]), "error validating token: invalid issuer (iss) claim"),
        (
            with(&[("aud", json!("others"))]),
            "error validating token: invalid audience (aud) claim: audience claim does not match any expected audience",
        ),
        (
            with(&[("aud", Value::Null)]),
            "error validating token: invalid audience (aud) claim: audience claim does not match any expected audience",
        ),
        (with(&[("exp", json!(now - 61))]), "error validating token: invalid expiration time (exp) claim: token is expired"),
        (with(&[("exp", Value::Null)]), "error validating token: no expiration time (exp) claim in token"),
        (with(&[("exp", json!("never"))]), "error validating token: the claim exp must be a number of seconds"),
        (with(&[("nbf", json!(now + 61))]), "error validating token: invalid not before (nbf) claim: token not yet valid"),
        (
            with(&[("iat", json!(now + 61))]),
            "error validating token: invalid issued at (iat) claim: token issued in the future",
        ),
        (
            with(&[("sub", json!("apps"))]),
            "error validating claims: claim \"sub\" does not match any associated bound claim values",
        ),
        (with(&[("sub", Value::Null)]), "error validating claims: claim \"sub\" is missing"),
    ];
    for (claims, why) in table {
        assert_eq!(jwts.speaks("app", &pair.token(&header, &claims), NOW), refused(why));
    }
    for claims in [
        with(&[("exp", json!(now - 59)), ("nbf", json!(now + 59)), ("iat", json!(now as f64 + 59.5))]),
        with(&[("nbf", Value::Null), ("iat", Value::Null), ("aud", json!("bulla"))]),
    ] {
        assert_eq!(jwts.speaks("app", &pair.token(&header, &claims), NOW), Ok(speaks()), "{claims}");
    }
    let good = pair.token(&header, &claims());
    assert_eq!(jwts.speaks("other", &good, NOW), refused("role \"other\" could not be found"));
    for (token, why) in [
        ("", "compact JWS format must have three parts"),
        ("a.b", "compact JWS format must have three parts"),
        ("a.b.c.d", "compact JWS format must have three parts"),
        ("*.b.c", "the header is not base64url"),
        ("e30.b.c", "the header is not a JSON object with alg"),
        (&"a".repeat(40_000), "the token is too long"),
    ] {
        let why = format!("error validating token: error verifying token signature: {why}");
        assert_eq!(jwts.speaks("app", token, NOW), refused(&why), "{token:.20}");
    }
    for held in [format!("{good}\n"), format!(" {good}\r\n"), format!("{good}=="), format!("{good}=\n")] {
        assert_eq!(jwts.speaks("app", &held, NOW), Ok(speaks()), "{held:?}");
    }
    let (message, signature) = good.rsplit_once('.').expect("parts");
    let (head, body) = message.split_once('.').expect("parts");
    for wrong in ["%", "a=a", "a\u{a0}"] {
        let why = "error validating token: error verifying token signature: the signature is not base64url";
        assert_eq!(jwts.speaks("app", &format!("{message}.{wrong}"), NOW), refused(why), "{wrong}");
    }
    let widened = with(&[("sub", json!("app")), ("groups", json!("root"))]).to_string();
    for token in [
        format!("{message}."),
        format!("{message}.{}", encoded([0; 64])),
        format!("{}.{body}.{signature}", encoded(json!({ "alg": "ES256" }).to_string())),
        format!("{head}.{}.{signature}", encoded(widened)),
    ] {
        assert!(matches!(jwts.speaks("app", &token, NOW), Err(LoginError::Refused(_))), "{token}");
    }
    for odd in [
        json!({ "alg": "ES256", "kid": "b" }),
        json!({ "alg": "ES256", "kid": "a", "crit": ["exp"] }),
        json!({ "alg": "ES384", "kid": "a" }),
        json!({ "alg": "es256", "kid": "a" }),
        json!({ "alg": "none" }),
    ] {
        assert_eq!(jwts.speaks("app", &pair.token(&odd, &claims()), NOW), refused(BAD_SIGNATURE), "{odd}");
    }
}

#[test]
fn a_public_key_is_no_secret_of_a_mac_and_no_header_brings_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let (rsa, stranger) = (Pair::new(Algorithm::RS256), Pair::new(Algorithm::RS256));
    let pem = folder.path().join("keys.pem");
    std::fs::write(&pem, rsa.pem()).expect("written");
    let jwts = Jwts::paced(issuer(KeysFrom::Pem(pem)), AT_ONCE).expect("keys");
    for secret in [rsa.pem(), rsa.pem().trim().to_owned()] {
        let message = format!("{}.{}", encoded(json!({ "alg": "HS256" }).to_string()), encoded(claims().to_string()));
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message.as_bytes());
        assert!(jwts.speaks("app", &format!("{message}.{}", encoded(mac)), NOW).is_err());
    }
    let own = json!({ "alg": "RS256", "jwk": stranger.jwk(json!({})), "jku": "https://stranger/keys" });
    assert!(jwts.speaks("app", &stranger.token(&own, &claims()), NOW).is_err());
    // A set with secrets in it: for others, whatever they are called.
    let secret = json!({ "kty": "oct", "k": encoded("secret"), "kid": "s" });
    let set = KeysFrom::File(set_file(folder.path(), &[secret]));
    let error = Jwts::paced(issuer(set), AT_ONCE).err().expect("no keys");
    assert!(error.ends_with("no public RSA, EC or Ed25519 key for signatures in it"), "{error}");
}

#[test]
fn a_key_is_for_what_its_issuer_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = Pair::new(Algorithm::RS256);
    let token = pair.token(&json!({ "alg": "RS256", "kid": "a" }), &claims());
    for (more, fits) in [
        (json!({ "kid": "a", "use": "sig", "alg": "RS256" }), true),
        (json!({ "kid": "a", "use": "enc" }), false),
        (json!({ "kid": "a", "alg": "PS256" }), false),
        (json!({ "kid": "a", "alg": "RSA-OAEP" }), false),
        (json!({ "kid": "b" }), false),
        (json!({}), true),
    ] {
        let other = Pair::new(Algorithm::ES256).jwk(json!({ "kid": "c" }));
        let keys = KeysFrom::File(set_file(folder.path(), &[other, pair.jwk(more.clone())]));
        let told = Jwts::paced(issuer(keys), AT_ONCE).expect("keys").speaks("app", &token, NOW);
        assert_eq!(told.is_ok(), fits, "{more}");
    }
}
