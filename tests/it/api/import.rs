//! Imported key material, from the caller's side: encrypted here, used there.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulla_test_support::client::{Answer, Client};
use bulla_test_support::server::Server;

use crate::{create, on_postgres, on_sqlite, until};

/// How long the end of material may take.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) const ALGORITHMS: [&str; 3] = ["RSAES_PKCS1_V1_5", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"];

pub(crate) fn key(client: &Client) -> String {
    let made = client.call("CreateKey", &[("Origin", "EXTERNAL")]).ok();
    assert_eq!(made.json["KeyMetadata"]["KeyState"], "PendingImport");
    assert_eq!(made.json["KeyMetadata"]["Origin"], "EXTERNAL");
    made.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned()
}

pub(crate) fn state(client: &Client, key: &str) -> String {
    let described = client.call("DescribeKey", &[("KeyId", key)]).ok();
    described.json["KeyMetadata"]["KeyState"].as_str().expect("a state").to_owned()
}

fn parameters(client: &Client, key: &str, algorithm: &str) -> Answer {
    let more = [("KeyId", key), ("WrappingAlgorithm", algorithm), ("WrappingKeySpec", "RSA_2048")];
    client.call("GetParametersForImport", &more)
}

/// Encrypts material as a caller does.
pub(crate) fn wrap(parameters: &Answer, algorithm: &str, material: &[u8]) -> String {
    let der = STANDARD.decode(parameters.text("PublicKey")).expect("Base64");
    let public = PublicEncryptingKey::from_der(&der).expect("SubjectPublicKeyInfo");
    let mut out = vec![0; public.key_size_bytes()];
    let oaep = match algorithm {
        "RSAES_PKCS1_V1_5" => None,
        "RSAES_OAEP_SHA_1" => Some(&OAEP_SHA1_MGF1SHA1),
        _ => Some(&OAEP_SHA256_MGF1SHA256),
    };
    match oaep {
        None => Pkcs1PublicEncryptingKey::new(public).expect("a key").encrypt(material, &mut out).expect("encrypted").len(),
        Some(oaep) => {
            let key = OaepPublicEncryptingKey::new(public).expect("a key");
            key.encrypt(oaep, material, &mut out, None).expect("encrypted").len()
        }
    };
    STANDARD.encode(out)
}

fn send(client: &Client, key: &str, wrapped: &str, token: &str, expires: &str) -> Answer {
    let more = [("KeyId", key), ("EncryptedKeyMaterial", wrapped), ("ImportToken", token), ("KeyMaterialExpireUnix", expires)];
    client.call("ImportKeyMaterial", &more)
}

/// The whole way with fresh parameters.
pub(crate) fn import(client: &Client, key: &str, algorithm: &str, material: &[u8], expires: &str) -> Answer {
    let parameters = parameters(client, key, algorithm).ok();
    send(client, key, &wrap(&parameters, algorithm, material), parameters.text("ImportToken"), expires)
}

pub(crate) fn secret_under(client: &Client, key: &str, name: &str) -> Answer {
    let more = [("SecretName", name), ("VersionId", "v1"), ("SecretData", "value"), ("EncryptionKeyId", key)];
    client.call("CreateSecret", &more)
}

fn read(client: &Client, name: &str) -> Answer {
    client.call("GetSecretValue", &[("SecretName", name)])
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

#[test]
fn material_comes_goes_and_comes_again_on_sqlite() {
    let (_folder, mut server) = on_sqlite();
    comes_goes_and_comes_again(&mut server);
}

#[test]
fn material_comes_goes_and_comes_again_on_postgres() {
    let (_folder, mut server) = on_postgres();
    comes_goes_and_comes_again(&mut server);
}

fn comes_goes_and_comes_again(server: &mut Server) {
    let client = server.client();
    for algorithm in ALGORITHMS {
        let (key, name) = (key(&client), format!("import/{algorithm}"));
        assert_eq!(secret_under(&client, &key, &name).code(), "Rejected.PendingImport");
        for action in ["EnableKey", "DisableKey"] {
            assert_eq!(client.call(action, &[("KeyId", &key)]).code(), "Rejected.StateModifiedFailed");
        }
        import(&client, &key, algorithm, &[7; 32], "0").ok();
        assert_eq!(state(&client, &key), "Enabled");
        secret_under(&client, &key, &name).ok();

        // Only the same material may come again; it resets the expiry.
        assert_eq!(import(&client, &key, algorithm, &[8; 32], "0").code(), "InvalidKeyMaterial");
        let later = now_s() + 86_400;
        import(&client, &key, algorithm, &[7; 32], &later.to_string()).ok();
        let described = client.call("DescribeKey", &[("KeyId", &key)]).ok();
        assert_ne!(described.json["KeyMetadata"]["MaterialExpireTime"], "");

        client.call("DeleteKeyMaterial", &[("KeyId", &key)]).ok();
        client.call("DeleteKeyMaterial", &[("KeyId", &key)]).ok();
        assert_eq!(state(&client, &key), "PendingImport");
        assert_eq!(read(&client, &name).code(), "Rejected.PendingImport");
        assert_eq!(import(&client, &key, algorithm, &[8; 32], "0").code(), "InvalidKeyMaterial");
        import(&client, &key, algorithm, &[7; 32], "0").ok();
        assert_eq!(read(&client, &name).ok().text("SecretData"), "value");
    }
    server.kill();
    server.restart();
    let client = server.client();
    for algorithm in ALGORITHMS {
        assert_eq!(read(&client, &format!("import/{algorithm}")).ok().text("SecretData"), "value");
    }
}

#[test]
fn every_length_fits_its_spec_only() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    for (spec, length) in [("Aliyun_AES_128", 16), ("Aliyun_AES_192", 24), ("Aliyun_AES_256", 32)] {
        for algorithm in ALGORITHMS {
            let made = client.call("CreateKey", &[("Origin", "EXTERNAL"), ("KeySpec", spec)]).ok();
            let key = made.json["KeyMetadata"]["KeyId"].as_str().expect("an id");
            let parameters = parameters(&client, key, algorithm).ok();
            for wrong in [0, 8, 16, 24, 32, 33].into_iter().filter(|wrong| *wrong != length) {
                let wrapped = wrap(&parameters, algorithm, &vec![1; wrong]);
                let answer = send(&client, key, &wrapped, parameters.text("ImportToken"), "0");
                assert_eq!(answer.code(), "InvalidKeyMaterial", "{spec} {algorithm} {wrong}");
            }
            let wrapped = wrap(&parameters, algorithm, &vec![1; length]);
            send(&client, key, &wrapped, parameters.text("ImportToken"), "0").ok();
        }
    }
}

#[test]
fn false_tokens_and_false_material_are_refused() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let (one, two) = (key(&client), key(&client));
    let algorithm = ALGORITHMS[1];
    let parameters_one = parameters(&client, &one, algorithm).ok();
    let wrapped = wrap(&parameters_one, algorithm, &[7; 32]);
    let token = parameters_one.text("ImportToken");

    let refused = |key: &str, wrapped: &str, token: &str| send(&client, key, wrapped, token, "0").code().to_owned();
    assert_eq!(refused(&two, &wrapped, token), "InvalidImportToken", "another key's");
    let mut forged = STANDARD.decode(token).expect("Base64");
    for at in [0, 10, 30, 56] {
        forged[at] ^= 1;
        assert_eq!(refused(&one, &wrapped, &STANDARD.encode(&forged)), "InvalidImportToken", "byte {at}");
        forged[at] ^= 1;
    }
    assert_eq!(refused(&one, &wrapped, ""), "InvalidParameter");
    for token in ["x", "AAAA"] {
        assert_eq!(refused(&one, &wrapped, token), "InvalidImportToken", "{token:?}");
    }
    let spoiled = format!("{}{}", if wrapped.starts_with('A') { "B" } else { "A" }, &wrapped[1..]);
    assert_eq!(refused(&one, &spoiled, token), "InvalidKeyMaterial");
    assert_eq!(refused(&one, "AAAA", token), "InvalidKeyMaterial");
    assert_eq!(refused(&one, "not Base64", token), "InvalidParameter");
    // Another pair of the same key does not open it.
    let other = parameters(&client, &one, algorithm).ok();
    assert_eq!(refused(&one, &wrapped, other.text("ImportToken")), "InvalidKeyMaterial");
    assert_eq!(state(&client, &one), "PendingImport");
    let past = (now_s() - 10).to_string();
    assert_eq!(send(&client, &one, &wrapped, token, &past).code(), "InvalidParameter");
    send(&client, &one, &wrapped, token, "0").ok();

    // What the API knows and no key here can do.
    let made = client.call("CreateKey", &[]).ok();
    let ours = made.json["KeyMetadata"]["KeyId"].as_str().expect("an id");
    assert_eq!(parameters(&client, ours, algorithm).code(), "Unsupported.Origin");
    assert_eq!(refused(ours, &wrapped, token), "Unsupported.Origin");
    assert_eq!(client.call("DeleteKeyMaterial", &[("KeyId", ours)]).code(), "Unsupported.Origin");
    let sm2 = [("KeyId", one.as_str()), ("WrappingAlgorithm", "SM2PKE"), ("WrappingKeySpec", "EC_SM2")];
    assert_eq!(client.call("GetParametersForImport", &sm2).code(), "UnsupportedOperation");
    assert_eq!(parameters(&client, &one, "RSAES_OAEP_SHA_512").code(), "InvalidParameter");
    let rotated = [("Origin", "EXTERNAL"), ("EnableAutomaticRotation", "true"), ("RotationInterval", "30d")];
    assert_eq!(client.call("CreateKey", &rotated).code(), "InvalidParameter");
    client.call("CreateAlias", &[("AliasName", "alias/imported"), ("KeyId", &one)]).ok();
    assert_eq!(parameters(&client, "alias/imported", algorithm).code(), "Unsupported.Alias");
}

#[test]
fn a_key_has_ten_pairs_at_most_and_a_pair_few_failures() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let key = key(&client);
    let algorithm = ALGORITHMS[2];
    let first = parameters(&client, &key, algorithm).ok();
    for _ in 1..10 {
        parameters(&client, &key, algorithm).ok();
    }
    assert_eq!(parameters(&client, &key, algorithm).code(), "Rejected.LimitExceeded");
    let short = wrap(&first, algorithm, &[7; 16]);
    for _ in 0..16 {
        assert_eq!(send(&client, &key, &short, first.text("ImportToken"), "0").code(), "InvalidKeyMaterial");
    }
    let good = wrap(&first, algorithm, &[7; 32]);
    assert_eq!(send(&client, &key, &good, first.text("ImportToken"), "0").code(), "InvalidImportToken");
}

/// Imports material that expires soon, and waits for that. A slow machine may take longer than that to import it.
fn import_until_it_expires(client: &Client, key: &str) {
    let imported = [2, 5, 15, 40].into_iter().find_map(|seconds| {
        let expires = now_s() + seconds;
        let answer = import(client, key, ALGORITHMS[1], &[7; 32], &expires.to_string());
        (answer.status == 200).then_some(expires)
    });
    let expires = imported.expect("imported before it expires");
    until(PATIENCE, "the material expires", || now_s() > expires);
}

#[test]
fn expired_material_is_refused_at_once_and_may_come_again() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let key = key(&client);
    import(&client, &key, ALGORITHMS[1], &[7; 32], &(now_s() + 3600).to_string()).ok();
    secret_under(&client, &key, "soon").ok();
    create(&client, "other", "value").ok();
    import_until_it_expires(&client, &key);
    assert_eq!(read(&client, "soon").code(), "Rejected.PendingImport");
    assert_eq!(state(&client, &key), "PendingImport");
    read(&client, "other").ok();
    // The job takes it off the token; the same material may come again before and after that.
    until(PATIENCE, "the job has taken it off", || server.log().contains(&format!("key/{key}: the material has expired")));
    assert_eq!(import(&client, &key, ALGORITHMS[1], &[8; 32], "0").code(), "InvalidKeyMaterial");
    import(&client, &key, ALGORITHMS[1], &[7; 32], "0").ok();
    assert_eq!(read(&client, "soon").ok().text("SecretData"), "value");
    assert_eq!(client.call("DisableKey", &[("KeyId", &key)]).ok().status, 200);
    import(&client, &key, ALGORITHMS[1], &[7; 32], "0").ok();
    assert_eq!(state(&client, &key), "Disabled", "an import enables only a key that waited for it");
    // One whose material has expired waits for it, whether or not the job has come by.
    import_until_it_expires(&client, &key);
    import(&client, &key, ALGORITHMS[1], &[7; 32], "0").ok();
    assert_eq!(state(&client, &key), "Enabled");
}

#[test]
fn side_by_side_imports_agree_on_one_material() {
    let (_folder, server) = on_postgres();
    let client = server.client();
    for _ in 0..3 {
        let key = key(&client);
        let sent: Vec<(Answer, String)> = (0..6u8)
            .map(|n| {
                let algorithm = ALGORITHMS[usize::from(n / 2)];
                let parameters = parameters(&client, &key, algorithm).ok();
                let wrapped = wrap(&parameters, algorithm, &[n % 2; 32]);
                (parameters, wrapped)
            })
            .collect();
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let send =
                |(parameters, wrapped): &(Answer, String)| send(&client, &key, wrapped, parameters.text("ImportToken"), "0");
            let running: Vec<_> = sent.iter().map(|sent| scope.spawn(move || send(sent))).collect();
            running.into_iter().map(|r| r.join().expect("no panic")).collect()
        });
        let good: Vec<usize> = (0..6).filter(|n| answers[*n].status == 200).map(|n| n % 2).collect();
        assert!(!good.is_empty());
        assert!(good.iter().all(|material| *material == good[0]), "two materials in one key");
        for answer in answers.iter().filter(|a| a.status != 200) {
            assert!(["InvalidKeyMaterial", "ServiceUnavailableTemporary"].contains(&answer.code()), "{}", answer.code());
        }
        assert_eq!(state(&client, &key), "Enabled");
        let name = format!("agreed/{key}");
        secret_under(&client, &key, &name).ok();
        assert_eq!(read(&client, &name).ok().text("SecretData"), "value");
    }
}
