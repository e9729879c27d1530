//! Encrypt, Decrypt and their relatives: what opens, and that everything else gets one and the same refusal.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulla_test_support::client::{Answer, Client, Scheme};
use bulla_test_support::server::Server;

use crate::{on_sqlite, restart_ahead, time_ahead};

/// A new symmetric key's id.
pub(crate) fn new_key(client: &Client, spec: &str) -> String {
    client.call("CreateKey", &[("KeySpec", spec)]).ok().json["KeyMetadata"]["KeyId"].as_str().expect("a key id").to_owned()
}

pub(crate) fn encrypt(client: &Client, key: &str, plaintext: &str, context: &str) -> String {
    let parameters = [("KeyId", key), ("Plaintext", plaintext), ("EncryptionContext", context)];
    client.call("Encrypt", &parameters).ok().text("CiphertextBlob").to_owned()
}

fn decrypt(client: &Client, blob: &str, context: &str) -> Answer {
    client.call("Decrypt", &[("CiphertextBlob", blob), ("EncryptionContext", context)])
}

/// The one answer to every blob that does not open.
#[track_caller]
pub(crate) fn refused(answer: &Answer, what: &str) {
    const WHY: &str = "one that this account was given, unchanged, with the EncryptionContext that it was made with";
    refused_since(answer, WHY, what);
}

/// The same of what must be this.
#[track_caller]
pub(crate) fn refused_since(answer: &Answer, must_be: &str, what: &str) {
    let message = format!(r#"The specified parameter "CiphertextBlob" is not valid. It must be {must_be}."#);
    assert_eq!((answer.status, answer.code(), answer.text("Message")), (400, "InvalidParameter", &*message), "{what}");
}

/// The root of a new account.
pub(crate) fn another_account(server: &Server) -> Client {
    let made = server.admin(&["account", "create", "another"]);
    let text = |field: &str| made[field].as_str().expect("in the output").to_owned();
    server.client_as(&text("AccessKeyId"), &text("AccessKeySecret"))
}

/// A client of a new user with a policy of these statements.
pub(crate) fn user(server: &Server, name: &str, statements: &str) -> Client {
    let file = server.data().join(name);
    std::fs::write(&file, format!(r#"{{"Version":"1","Statement":[{statements}]}}"#)).expect("the folder can be written");
    server.admin(&["user", "create", name]);
    server.admin(&["policy", "create", name, "--document", &file.to_string_lossy()]);
    server.admin(&["policy", "attach", name, "--user", name]);
    let made = server.admin(&["access-key", "create", "--user", name]);
    let text = |field: &str| made[field].as_str().expect("in the output").to_owned();
    server.client_as(&text("AccessKeyId"), &text("AccessKeySecret"))
}

#[test]
fn decrypt_gives_back_the_very_text() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    for spec in ["Aliyun_AES_128", "Aliyun_AES_192", "Aliyun_AES_256"] {
        let key = new_key(&client, spec);
        let longest = STANDARD.encode([0xa5; 6144]);
        for text in ["QQ==", "not Base64: 密钥 &=+%", &longest] {
            let blob = encrypt(&client, &key, text, "");
            let opened = decrypt(&client, &blob, "").ok();
            assert_eq!((opened.text("Plaintext"), opened.text("KeyId")), (text, key.as_str()), "{spec}");
            assert_ne!(encrypt(&client, &key, text, ""), blob, "never the same blob twice");
        }
    }
}

#[test]
fn an_encryption_context_is_one_in_all_its_forms() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let acs3 = server.client().with_scheme(Scheme::Acs3);
    let key = new_key(&client, "Aliyun_AES_256");
    let forms: [&[(&str, &str)]; 4] = [
        &[("EncryptionContext", r#"{"a":"1","用 途":"2"}"#)],
        &[("EncryptionContext", "{ \"用 途\" : \"2\",\n\"a\":\"1\" }")],
        &[("EncryptionContext.用 途", "2"), ("EncryptionContext.a", "1")],
        &[
            ("EncryptionContext.1.Key", "用 途"),
            ("EncryptionContext.1.Value", "2"),
            ("EncryptionContext.2.Key", "a"),
            ("EncryptionContext.2.Value", "1"),
        ],
    ];
    for made in forms {
        let parameters = [&[("KeyId", key.as_str()), ("Plaintext", "QQ==")], made].concat();
        for client in [&client, &acs3] {
            let blob = client.call("Encrypt", &parameters).ok().text("CiphertextBlob").to_owned();
            for asked in forms {
                let parameters = [&[("CiphertextBlob", blob.as_str())], asked].concat();
                assert_eq!(client.call("Decrypt", &parameters).ok().text("Plaintext"), "QQ==", "{made:?} {asked:?}");
            }
            for other in ["", "{}", r#"{"a":"1"}"#, r#"{"a":"2","用 途":"1"}"#, r#"{"a":"1","用 途":"2","":""}"#] {
                refused(&decrypt(client, &blob, other), other);
            }
        }
    }
    let none = encrypt(&client, &key, "QQ==", "{}");
    assert_eq!(decrypt(&client, &none, "").ok().text("Plaintext"), "QQ==", "none and {{}} are the same");
    for bad in [r#"{"a":1}"#, r#"{"a":{}}"#, "[]", "x", r#"{"a":"1","a":"2"}"#] {
        let parameters = [("KeyId", key.as_str()), ("Plaintext", "QQ=="), ("EncryptionContext", bad)];
        let answer = client.call("Encrypt", &parameters);
        assert_eq!((answer.status, answer.code()), (400, "InvalidParameter"), "{bad}");
        assert!(answer.text("Message").contains("EncryptionContext"), "{bad}");
    }
}

#[test]
fn whatever_is_changed_in_a_blob_it_is_refused_alike() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let (key, other) = (new_key(&client, "Aliyun_AES_256"), new_key(&client, "Aliyun_AES_256"));
    let blob = STANDARD.decode(encrypt(&client, &key, "QQ==", r#"{"a":"1"}"#)).expect("Base64");
    let of_other = STANDARD.decode(encrypt(&client, &other, "QQ==", r#"{"a":"1"}"#)).expect("Base64");
    let tried = |bytes: &[u8], what: &str| refused(&decrypt(&client, &STANDARD.encode(bytes), r#"{"a":"1"}"#), what);

    for at in 0..blob.len() {
        let mut changed = blob.clone();
        changed[at] ^= 1 << (at % 8);
        tried(&changed, &format!("a bit of byte {at}"));
    }
    for length in 1..blob.len() {
        tried(&blob[..length], &format!("the first {length} bytes"));
    }
    tried(&[&blob[..], &[0]].concat(), "a byte more");
    tried(&[&blob[..2], &of_other[2..18], &blob[18..]].concat(), "another key's version");
    tried(&[&blob[..18], &of_other[18..]].concat(), "another key's ciphertext");
    refused_since(&decrypt(&client, "no Base64", ""), "bytes in Base64", "no Base64");
    let empty = decrypt(&client, "", "");
    assert_eq!((empty.status, empty.code()), (400, "InvalidParameter"), "{empty:?}");

    let whole = STANDARD.encode(&blob);
    assert_eq!(decrypt(&client, &whole, r#"{"a":"1"}"#).ok().text("Plaintext"), "QQ==");
    refused(&decrypt(&another_account(&server), &whole, r#"{"a":"1"}"#), "a blob of another account");
    let (_folder, elsewhere) = on_sqlite();
    refused(&decrypt(&elsewhere.client(), &whole, r#"{"a":"1"}"#), "a blob of another deployment");
    assert!(!server.log().contains("ALARM"), "wrong input is no alarm");
}

/// The seven days for which a key's newest version keeps from having another, and one.
const EIGHT_DAYS: i64 = 8 * 86_400;

#[test]
fn versions_of_one_key_do_not_open_for_each_other() {
    let (_folder, mut server) = on_sqlite();
    let key = new_key(&server.client(), "Aliyun_AES_256");
    let old = encrypt(&server.client(), &key, "b2xk", "");
    restart_ahead(&mut server, EIGHT_DAYS);
    let (client, later) = (server.client(), time_ahead(EIGHT_DAYS));
    let call = |action: &str, parameters: &[(&str, &str)]| {
        client.request(action, parameters).timestamp(&later).send().expect("an answer")
    };
    let open = |blob: &[u8]| call("Decrypt", &[("CiphertextBlob", &STANDARD.encode(blob))]);
    call("CreateKeyVersion", &[("KeyId", &key)]).ok();
    let new = call("Encrypt", &[("KeyId", &key), ("Plaintext", "bmV3")]).ok();
    let [old, new] = [&old, new.text("CiphertextBlob")].map(|blob| STANDARD.decode(blob).expect("Base64"));

    assert_ne!(old[2..18], new[2..18], "two versions");
    for (blob, text) in [(&old, "b2xk"), (&new, "bmV3")] {
        assert_eq!(open(blob).ok().text("Plaintext"), text);
    }
    refused(&open(&[&old[..2], &new[2..18], &old[18..]].concat()), "the old version's under the new one");
    refused(&open(&[&new[..2], &old[2..18], &new[18..]].concat()), "the new version's under the old one");
    assert_eq!(client.figure("bulla_token_epochs_total"), 1.0, "no reconnect");
    assert!(!server.log().contains("ALARM"), "wrong input is no alarm");
}

#[test]
fn data_keys_are_text_in_base64_of_the_length_asked_for() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let key = new_key(&client, "Aliyun_AES_192");
    let cases: [(&[(&str, &str)], usize); 5] = [
        (&[], 32),
        (&[("KeySpec", "AES_128")], 16),
        (&[("KeySpec", "AES_256"), ("NumberOfBytes", "7")], 7),
        (&[("NumberOfBytes", "1")], 1),
        (&[("NumberOfBytes", "1024")], 1024),
    ];
    for (asked, length) in cases {
        let parameters = [&[("KeyId", key.as_str())], asked].concat();
        let made = client.call("GenerateDataKey", &parameters).ok();
        assert_eq!(STANDARD.decode(made.text("Plaintext")).expect("Base64").len(), length);
        assert_eq!(decrypt(&client, made.text("CiphertextBlob"), "").ok().text("Plaintext"), made.text("Plaintext"));

        let hidden = client.call("GenerateDataKeyWithoutPlaintext", &parameters).ok();
        assert!(hidden.json.get("Plaintext").is_none());
        let opened = decrypt(&client, hidden.text("CiphertextBlob"), "").ok();
        assert_eq!(STANDARD.decode(opened.text("Plaintext")).expect("Base64").len(), length);
    }
    for wrong in [("NumberOfBytes", "0"), ("NumberOfBytes", "1025"), ("KeySpec", "AES_192")] {
        assert_eq!(client.call("GenerateDataKey", &[("KeyId", &key), wrong]).code(), "InvalidParameter", "{wrong:?}");
    }
    let enclave = client.call("GenerateDataKey", &[("KeyId", &key), ("Recipient", "{}")]);
    assert_eq!(enclave.code(), "UnsupportedOperation");
    assert!(enclave.text("Message").contains("Recipient"));
}

#[test]
fn re_encryption_needs_a_permission_on_each_key() {
    let (_folder, server) = on_sqlite();
    let root = server.client();
    let (from, to) = (new_key(&root, "Aliyun_AES_256"), new_key(&root, "Aliyun_AES_128"));
    let blob = encrypt(&root, &from, "QQ==", r#"{"a":"1"}"#);
    let allowed = |name: &str, statements: &[(&str, &str)]| {
        let statements: Vec<_> = statements
            .iter()
            .map(|(action, key)| format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"acs:kms:*:*:key/{key}"}}"#))
            .collect();
        user(&server, name, &statements.join(","))
    };
    let parameters = [
        ("CiphertextBlob", blob.as_str()),
        ("SourceEncryptionContext", r#"{"a":"1"}"#),
        ("DestinationKeyId", to.as_str()),
        ("DestinationEncryptionContext", r#"{"b":"2"}"#),
    ];
    for (user, statements) in [("source", [("kms:ReEncryptFrom", from.as_str())]), ("destination", [("kms:ReEncryptTo", &to)])]
    {
        let answer = allowed(user, &statements).call("ReEncrypt", &parameters);
        assert_eq!((answer.status, answer.code()), (403, "Forbidden.NoPermission"), "{user}");
    }
    let both = allowed("both", &[("kms:ReEncryptFrom", &from), ("kms:ReEncryptTo", &to)]);
    let made = both.call("ReEncrypt", &parameters).ok();
    assert_eq!(made.text("KeyId"), to);
    let opened = decrypt(&root, made.text("CiphertextBlob"), r#"{"b":"2"}"#).ok();
    assert_eq!((opened.text("Plaintext"), opened.text("KeyId")), ("QQ==", to.as_str()));
    let denied = decrypt(&both, &blob, r#"{"a":"1"}"#);
    assert_eq!((denied.status, denied.code()), (403, "Forbidden.NoPermission"), "re-encryption is no decryption");
    // Who may not use every key is not told which versions there are.
    let mut unknown = STANDARD.decode(&blob).expect("Base64");
    unknown[10] ^= 1;
    let answer = decrypt(&both, &STANDARD.encode(unknown), "");
    assert_eq!((answer.status, answer.code()), (403, "Forbidden.NoPermission"));
}

#[test]
fn a_rehearsal_always_ends_in_a_refusal_that_tells() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let key = new_key(&client, "Aliyun_AES_256");
    let blob = encrypt(&client, &key, "QQ==", "");
    let dry = ("DryRun", "true");
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 7] = [
        ("Encrypt", &[("KeyId", &key), ("Plaintext", "QQ=="), dry], "DryRunOperationError"),
        ("Encrypt", &[("KeyId", &key), dry], "ValidationError"),
        ("Decrypt", &[("CiphertextBlob", &blob), dry], "DryRunOperationError"),
        ("Decrypt", &[("CiphertextBlob", "QQ=="), dry], "ValidationError"),
        ("GenerateDataKey", &[("KeyId", &key), dry], "DryRunOperationError"),
        ("GenerateDataKeyWithoutPlaintext", &[("KeyId", &key), ("NumberOfBytes", "0"), dry], "ValidationError"),
        ("ReEncrypt", &[("CiphertextBlob", &blob), ("DestinationKeyId", &key), dry], "DryRunOperationError"),
    ];
    for (action, parameters, code) in cases {
        assert_eq!(client.call(action, parameters).code(), code, "{action}");
    }
    server.admin(&["user", "create", "stranger"]);
    let made = server.admin(&["access-key", "create", "--user", "stranger"]);
    let text = |field: &str| made[field].as_str().expect("in the output").to_owned();
    let stranger = server.client_as(&text("AccessKeyId"), &text("AccessKeySecret"));
    let answer = stranger.call("Decrypt", &[("CiphertextBlob", &blob), dry]);
    assert_eq!((answer.status, answer.code()), (403, "AccessDeniedError"));
}
