//! Client keys, from the application's side: the file opened, the request signed, what the access point allows and what not.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulla_test_support::client::{Answer, Client, Scheme};
use bulla_test_support::server::Server;
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};

use crate::{create, on_postgres, on_sqlite, verify_audit};

const PASSWORD: &str = "correct horse";
const READ: &str = r#"["RbacPermission/Template/CryptoServiceSecretUser"]"#;
const ALL: &str = r#"["RbacPermission/Template/CryptoServiceKeyUser","RbacPermission/Template/CryptoServiceSecretUser"]"#;

fn policy(root: &Client, name: &str, permissions: &str, resources: &str, rules: &str) {
    let more = [("Name", name), ("Permissions", permissions), ("Resources", resources), ("AccessControlRules", rules)];
    root.call("CreatePolicy", &more).ok();
}

fn rule(root: &Client, name: &str, addresses: &str) {
    root.call("CreateNetworkRule", &[("Name", name), ("Type", "Private"), ("SourcePrivateIp", addresses)]).ok();
}

fn access_point(root: &Client, name: &str, policies: &str) {
    root.call("CreateApplicationAccessPoint", &[("Name", name), ("Policies", policies)]).ok();
}

/// A new client key of an access point, and a client that signs with it.
fn client_key(server: &Server, access_point: &str, more: &[(&str, &str)]) -> (String, Client) {
    let parameters = [&[("AapName", access_point), ("Password", PASSWORD)], more].concat();
    let made = server.client().call("CreateClientKey", &parameters).ok();
    let file = STANDARD.decode(made.text("PrivateKeyData")).expect("Base64");
    let store = KeyStore::from_pkcs12(&file, PASSWORD, Pkcs12ImportPolicy::Strict).expect("PKCS #12");
    let (_, chain) = store.private_key_chain().expect("a private key");
    let secret = STANDARD.encode(chain.key().as_der());
    let id = made.text("ClientKeyId").to_owned();
    let client = Client::new(&server.ready.endpoint, &id, &secret).with_scheme(Scheme::RpcRsa);
    (id, client)
}

fn read(client: &Client, name: &str) -> Answer {
    client.call("GetSecretValue", &[("SecretName", name)])
}

/// Asks until the answer is this; a change works on every node within a second.
fn until(what: &str, code: &str, mut ask: impl FnMut() -> Answer) {
    let begun = Instant::now();
    loop {
        let answer = ask();
        if answer.code() == code {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_application_reads_what_its_access_point_names_on_sqlite() {
    let (_folder, server) = on_sqlite();
    reads_what_its_access_point_names(&server);
}

#[test]
fn an_application_reads_what_its_access_point_names_on_postgres() {
    let (_folder, server) = on_postgres();
    reads_what_its_access_point_names(&server);
}

fn reads_what_its_access_point_names(server: &Server) {
    let root = server.client();
    for name in ["app/db", "app/other"] {
        create(&root, name, "value").ok();
    }
    policy(&root, "one", READ, r#"["secret/app/db"]"#, "");
    access_point(&root, "shop", r#"["one"]"#);
    let (id, shop) = client_key(server, "shop", &[]);

    assert_eq!(read(&shop, "app/db").ok().text("SecretData"), "value");
    assert_eq!(read(&shop, "app/other").code(), "Forbidden.NoPermission");
    assert_eq!(read(&shop, "app/none").code(), "Forbidden.NoPermission");
    assert_eq!(create(&shop, "app/new", "x").code(), "Forbidden.NoPermission");
    for action in ["ListSecrets", "ListKeys", "ListClientKeys"] {
        assert_eq!(shop.call(action, &[]).code(), "Forbidden.NoPermission", "{action}");
    }
    assert_eq!(shop.request("GetSecretValue", &[("SecretName", "app/db")]).get().send().expect("sent").status, 200);

    // A change of the policy works at once, and so does the end of the key.
    let wider = [("Name", "one"), ("Resources", r#"["secret/*"]"#)];
    root.call("UpdatePolicy", &wider).ok();
    until("the policy names all", "", || read(&shop, "app/other"));
    root.call("DeleteClientKey", &[("ClientKeyId", &id)]).ok();
    until("the key is gone", "InvalidAccessKeyId.NotFound", || read(&shop, "app/db"));

    let (_, second) = client_key(server, "shop", &[]);
    assert_eq!(read(&second, "app/db").ok().text("SecretData"), "value");
    root.call("DeleteApplicationAccessPoint", &[("Name", "shop")]).ok();
    until("the access point is gone", "InvalidAccessKeyId.NotFound", || read(&second, "app/db"));
    let audit = std::fs::read_to_string(server.data().join("audit/audit.jsonl")).expect("the audit log");
    assert!(audit.contains("access-point/shop") && audit.contains(&id), "the log names principal and key");
    assert!(!audit.contains(PASSWORD));
    verify_audit(server);
}

#[test]
fn keys_of_callers_and_networks_count_too() {
    let (_folder, server) = on_sqlite();
    let root = server.client();
    let made = root.call("CreateKey", &[]).ok();
    let key = made.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
    let more = [("SecretName", "mine"), ("VersionId", "v1"), ("SecretData", "value"), ("EncryptionKeyId", &key)];
    root.call("CreateSecret", &more).ok();
    rule(&root, "here", r#"["127.0.0.0/8","::1"]"#);
    rule(&root, "there", r#"["10.0.0.0/8"]"#);
    rule(&root, "nowhere", "[]");
    policy(&root, "secret", READ, r#"["secret/mine"]"#, r#"{"NetworkRules":["here"]}"#);
    policy(&root, "both", ALL, &format!(r#"["secret/mine","key/{key}"]"#), r#"{"NetworkRules":["here"]}"#);
    policy(&root, "afar", ALL, r#"["secret/*","key/*"]"#, r#"{"NetworkRules":["there"]}"#);
    policy(&root, "never", ALL, r#"["secret/*","key/*"]"#, r#"{"NetworkRules":["nowhere"]}"#);
    for (point, policies, code) in [
        ("none", "[]", "Forbidden.NoPermission"),
        ("secret", r#"["secret"]"#, "Forbidden.NoPermission"),
        ("both", r#"["both"]"#, ""),
        ("afar", r#"["afar"]"#, "Forbidden.NoPermission"),
        ("never", r#"["never"]"#, "Forbidden.NoPermission"),
        ("one-of", r#"["never","afar","both"]"#, ""),
    ] {
        access_point(&root, point, policies);
        let (_, client) = client_key(&server, point, &[]);
        assert_eq!(read(&client, "mine").code(), code, "{point}");
    }
    // Names that are in use stay.
    assert_eq!(root.call("DeleteNetworkRule", &[("Name", "there")]).code(), "Rejected.ResourceInUse");
    assert_eq!(root.call("DeletePolicy", &[("Name", "afar")]).code(), "Rejected.ResourceInUse");
}

#[test]
fn a_client_key_signs_in_its_own_way_and_in_its_time_only() {
    let (_folder, server) = on_sqlite();
    let root = server.client();
    create(&root, "app/db", "value").ok();
    policy(&root, "all", READ, r#"["secret/*"]"#, "");
    access_point(&root, "shop", r#"["all"]"#);
    let (id, shop) = client_key(&server, "shop", &[]);
    let (_, other) = client_key(&server, "shop", &[]);
    read(&shop, "app/db").ok();

    // Another key's signature; the id with a scheme of secrets; an access key with the scheme of client keys.
    let endpoint = &server.ready.endpoint;
    let crossed = Client::new(endpoint, &id, &secret_of(&other)).with_scheme(Scheme::RpcRsa);
    assert_eq!(read(&crossed, "app/db").code(), "SignatureDoesNotMatch");
    for scheme in [Scheme::RpcV1, Scheme::Acs3] {
        let guessed = Client::new(endpoint, &id, "secret").with_scheme(scheme);
        assert_eq!(read(&guessed, "app/db").code(), "InvalidAccessKeyId.NotFound");
    }
    let borrowed = Client::new(endpoint, &server.ready.access_key_id, &secret_of(&shop)).with_scheme(Scheme::RpcRsa);
    assert_eq!(read(&borrowed, "app/db").code(), "InvalidAccessKeyId.NotFound");
    let unknown = "KAAP.00000000-0000-4000-8000-000000000000";
    let unknown = Client::new(endpoint, unknown, &secret_of(&shop)).with_scheme(Scheme::RpcRsa);
    assert_eq!(read(&unknown, "app/db").code(), "InvalidAccessKeyId.NotFound");

    // The nonce counts as with access keys, and the time of the request.
    let again = shop.request("GetSecretValue", &[("SecretName", "app/db")]).nonce("0123456789abcdef");
    assert_eq!(again.send().expect("sent").status, 200);
    assert_eq!(again.send().expect("sent").code(), "SignatureNonceUsed");
    let late = shop.request("GetSecretValue", &[("SecretName", "app/db")]).timestamp("2020-01-01T00:00:00Z");
    assert_eq!(late.send().expect("sent").code(), "InvalidTimeStamp.Expired");

    let (_, future) = client_key(&server, "shop", &[("NotBefore", "2100-01-01T00:00:00Z")]);
    assert_eq!(read(&future, "app/db").code(), "Forbidden.AccessKey");
    let soon = written(std::time::SystemTime::now() + Duration::from_secs(3));
    let (_, brief) = client_key(&server, "shop", &[("NotAfter", &soon)]);
    until("its time is over", "Forbidden.AccessKey", || read(&brief, "app/db"));
}

fn secret_of(client: &Client) -> String {
    client.access_key_secret.clone()
}

/// A time as the API writes it.
fn written(time: std::time::SystemTime) -> String {
    let seconds = time.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    bulla::base::clock::Timestamp(i64::try_from(seconds).expect("in range") * 1000).to_string()
}
