//! What stays in the memory of the process when its requests are over.

use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bulla_test_support::client::Scheme;
use bulla_test_support::memory;
use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;
use serde_json::{Value, json};

use crate::on_sqlite;
use crate::vault::{Bearer, send};

/// How all values of this test begin.
const CANARY: &str = "canary7d1f0c52x";
/// How long memory may take to be wiped.
const PATIENCE: Duration = Duration::from_secs(1);

#[test]
fn no_value_stays_in_memory_after_its_requests() {
    let (_folder, server) = on_sqlite();
    server.admin(&["user", "create", "writer"]);
    server.admin(&["policy", "attach", "AliyunKMSFullAccess", "--user", "writer"]);
    let key = server.admin(&["access-key", "create", "--user", "writer"]);
    let text = |name: &str| key[name].as_str().expect("shown once").to_owned();
    let access_key_secret = text("AccessKeySecret");
    let client = server.client_as(&text("AccessKeyId"), &access_key_secret);
    for n in 0..size(200, 5_000) {
        let (name, value) = (format!("canary/{n}"), format!("{CANARY}{n:08}{}", "v".repeat(n * 7 % 3_000)));
        let parameters = [("SecretName", name.as_str()), ("VersionId", "v1"), ("SecretData", &value)];
        let request = client.request("CreateSecret", &parameters);
        let request = match n % 4 {
            0 => request,
            1 => request.in_body(&["SecretData"]),
            2 => request.scheme(Scheme::Acs3),
            _ => request.scheme(Scheme::Acs3).in_body(&["SecretData"]),
        };
        request.send().expect("an answer").ok();
        let read = client.request("GetSecretValue", &[("SecretName", &name)]);
        let read = if n % 2 == 0 { read.xml() } else { read };
        assert_eq!(read.send().expect("an answer").status, 200);
    }
    // What a connection holds of its last request goes with the connection.
    drop(client);
    let pid = server.pid().expect("it runs");
    let left = |needle: &str| memory::find(pid, needle.as_bytes()).expect("root may read it");
    std::thread::sleep(PATIENCE);
    let begun = Instant::now();
    let values = left(CANARY);
    eprintln!("{} values are left {PATIENCE:?} after the last request; looked for in {:?}", values.len(), begun.elapsed());
    assert!(values.is_empty(), "{values:#?}");
    assert!(left(&access_key_secret).is_empty(), "verification keeps a key made of it, not itself");
    // The token layer keeps the PIN to log in again.
    let pin = std::fs::read_to_string(server.data().join("pin")).expect("written by dev");
    assert!(left(pin.trim()).len() <= 1, "more than one copy of the PIN");
    let metrics = server.client().metrics();
    assert!(metrics.contains("bulla_") && !metrics.contains(CANARY));
}

/// What opens the second door: a token, the secret_id and the JWT that gave one, and values on their way through it.
#[test]
fn no_token_and_no_login_stays_in_memory() {
    let (_folder, mut server) = on_sqlite();
    let jwts = jwt_issuer(&mut server);
    let key = server.admin(&["access-key", "create", "--user", "app"]);
    let text = |name: &str| key[name].as_str().expect("shown once").to_owned();
    let secret_id = text("AccessKeySecret");
    let client = server.client_as(&text("AccessKeyId"), &secret_id);
    let mut shown = vec![secret_id];
    for n in 0..size(40, 1_000) {
        let door = if n % 2 == 0 {
            Bearer::login(&client)
        } else {
            let jwt = &jwts[n % jwts.len()];
            let body = json!({ "role": "app", "jwt": jwt });
            let answer = send(&client, "", "POST", "auth/jwt/login", &body, "").expect("an answer").ok();
            Bearer::with(&client, answer.json["auth"]["client_token"].as_str().expect("a token"))
        };
        let value = format!("{CANARY}{n:08}{}", "v".repeat(n * 7 % 3_000));
        let path = format!("secret/data/canary/{n}");
        door.ask("POST", &path, &json!({ "data": { "password": value } })).ok();
        door.ask("PATCH", &path, &json!({ "data": { "more": format!("{CANARY}{n}") } })).ok();
        assert_eq!(door.ask("GET", &path, &Value::Null).ok().json["data"]["data"]["password"], value);
        let made = door.ask("POST", "auth/token/create", &json!({})).ok();
        shown.push(made.json["auth"]["client_token"].as_str().expect("a token").to_owned());
        assert_eq!(door.ask("GET", "auth/token/lookup-self", &Value::Null).status, 200);
        shown.push(door.token.clone());
    }
    // Of a JWT its signature: the rest says who somebody is.
    shown.extend(jwts.iter().filter_map(|jwt| Some(jwt.rsplit_once('.')?.1.to_owned())));
    drop(client);
    let pid = server.pid().expect("it runs");
    std::thread::sleep(PATIENCE);
    let left = |needle: &str| memory::find(pid, needle.as_bytes()).expect("root may read it");
    assert!(left(CANARY).is_empty(), "{:#?}", left(CANARY));
    for secret in &shown {
        let found = left(secret);
        assert!(found.is_empty(), "one of {}: {found:#?}", shown.len());
    }
}

/// Lets JWTs log in for a new user `app`; some of them.
fn jwt_issuer(server: &mut Server) -> Vec<String> {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let point = pair.public_key().as_ref();
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encoded(&point[1..33]), "y": encoded(&point[33..]) });
    let config = server.data().join("bulla.toml");
    std::fs::write(server.data().join("jwks.json"), json!({ "keys": [jwk] }).to_string()).expect("written");
    server.admin(&["user", "create", "app"]);
    server.admin(&["policy", "attach", "AliyunKMSFullAccess", "--user", "app"]);
    let role = format!(
        "\n[[vault.jwt]]\nissuer = \"i\"\naudience = [\"a\"]\njwks_file = \"jwks.json\"\nalgorithms = [\"ES256\"]\n[[vault.jwt.role]]\n\
         name = \"app\"\naccount = \"{}\"\nuser = \"app\"\nbound_claims = {{ sub = \"app\" }}\n",
        server.ready.account_id
    );
    let text = std::fs::read_to_string(&config).expect("written by dev");
    server.stop();
    std::fs::write(&config, text + &role).expect("written");
    server.restart();
    let exp = jiff::Timestamp::now().as_second() + 3_000;
    let sign = |n: usize| {
        let claims = json!({ "iss": "i", "aud": "a", "sub": "app", "exp": exp, "jti": n });
        let message = format!("{}.{}", encoded(br#"{"alg":"ES256"}"#), encoded(claims.to_string().as_bytes()));
        let signature = pair.sign(&random, message.as_bytes()).expect("signed");
        format!("{message}.{}", encoded(signature.as_ref()))
    };
    (0..5).map(sign).collect()
}

#[test]
fn a_process_that_holds_secrets_cannot_be_dumped() {
    let (_folder, server) = on_sqlite();
    let of = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", server.pid().expect("it runs"))).expect("it runs");
    let limits = of("limits");
    let limit = |name: &str| limits.lines().find_map(|line| line.strip_prefix(name)).expect(name).split_whitespace();
    assert_eq!(limit("Max core file size").take(2).collect::<Vec<_>>(), ["0", "0"]);
    let files: Vec<&str> = limit("Max open files").take(2).collect();
    assert_eq!(files[0], files[1], "as many files as may be open");
    let locked = of("status").lines().any(|l| l.strip_prefix("VmLck:").is_some_and(|size| size.trim() != "0 kB"));
    assert_ne!(locked, server.log().contains("memory is not locked"), "it is locked, or the log says that it is not");
    let pin = std::fs::read_to_string(server.data().join("pin")).expect("written by dev");
    assert!(!of("cmdline").contains(pin.trim()) && !of("environ").contains(pin.trim()));
}
