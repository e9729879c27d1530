//! What is on disk, and what a nonce is worth after a restart.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bulla::app::Base;
use bulla::base::clock::Timestamp;
use bulla::base::ids::AccountId;
use bulla::base::secret::DataKey;
use bulla::config::Config;
use bulla::secrets::identity;
use bulla::store::{Abort, SecretFilter, SecretRow, StoreError, VersionRow};
use bulla::token::softhsm;
use bulla_test_support::server::Server;
use diesel::connection::SimpleConnection;

use crate::isolated::isolated;
use crate::{BULLA, create, database, on_sqlite};

fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).expect("readable")));
        }
    }
}

/// SoftHSM's configuration where `bulla dev` will look for it.
fn token_in_data(home: &Path) -> io::Result<PathBuf> {
    let data = home.join("data");
    std::fs::create_dir(&data)?;
    softhsm::prepare(&data)
}

/// All versions of an account's secrets, and the data key of each.
fn data_keys(base: &Base, account: &str) -> Vec<(VersionRow, DataKey)> {
    let account: AccountId = account.parse().expect("an account");
    let rows = base.store.read("at_rest", |tx| {
        let mut rows = Vec::new();
        for secret in tx.secrets_page(&account, Timestamp(0), &SecretFilter::default(), 0, 100)?.0 {
            for head in tx.versions_of(&secret.id)? {
                let version = tx.version_by_id(&secret.id, &head.version_id)?.expect("listed");
                rows.push((secret.clone(), version));
            }
        }
        Ok::<_, Abort<StoreError>>(rows)
    });
    let open = |(secret, version): (SecretRow, VersionRow)| {
        let identity = identity(&base.deployment.id, &base.deployment.region, &secret, &version);
        let context = identity.data_key_context();
        let key = base.token.unwrap_data_key(version.suite, &version.key_version_id, &version.wrapped, &context);
        (version, key.expect("it opens"))
    };
    rows.expect("readable").into_iter().map(open).collect()
}

/// What a CMK of 256 bits is on the token, but for its id and label.
fn cmk_attributes() -> BTreeMap<String, String> {
    let with = |value: &'static str, names: &'static [&'static str]| names.iter().map(move |name| (*name, value));
    let is =
        [("CLASS", "CKO_SECRET_KEY"), ("KEY_TYPE", "CKK_AES"), ("VALUE_LEN", "32"), ("KEY_GEN_MECHANISM", "CKM_AES_KEY_GEN")];
    is.into_iter()
        .chain(with(
            "true",
            &[
                "TOKEN",
                "PRIVATE",
                "SENSITIVE",
                "ALWAYS_SENSITIVE",
                "NEVER_EXTRACTABLE",
                "LOCAL",
                "DESTROYABLE",
                "ENCRYPT",
                "DECRYPT",
            ],
        ))
        .chain(with(
            "false",
            &["EXTRACTABLE", "MODIFIABLE", "COPYABLE", "WRAP", "UNWRAP", "DERIVE", "SIGN", "VERIFY", "WRAP_WITH_TRUSTED"],
        ))
        .map(|(name, value)| (format!("CKA_{name}"), value.to_owned()))
        .collect()
}

#[test]
fn what_is_on_disk_opens_nothing_and_cmks_cannot_leave_the_token() {
    isolated(token_in_data, |home| {
        let mut server = Server::dev(BULLA, home.join("data"), None);
        server.admin(&["user", "create", "reader"]);
        let access_key = server.admin(&["access-key", "create", "--user", "reader"]);
        let canary = "canary-7d1f0c52-value";
        let client = server.client();
        create(&client, "canary", canary).ok();
        let cmk = client.call("CreateKey", &[]).ok().json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
        let chosen = [("SecretName", "chosen"), ("VersionId", "v1"), ("SecretData", canary), ("EncryptionKeyId", &cmk)];
        client.call("CreateSecret", &chosen).ok();
        for name in ["canary", "chosen"] {
            assert_eq!(client.call("GetSecretValue", &[("SecretName", name)]).ok().text("SecretData"), canary);
        }
        server.stop();

        let config = Config::load(&server.data().join("bulla.toml")).expect("as bulla dev wrote it");
        let base = Base::open(&config).expect("the token that the server had");
        let keys = data_keys(&base, &server.ready.account_id);
        assert_eq!(keys.len(), 2);
        for (version, _) in &keys {
            let objects = base.token.inspect(&version.key_version_id).expect("inspect");
            let [object] = &objects[..] else { panic!("{} objects of one id", objects.len()) };
            let mut found = object.attributes.clone();
            assert_eq!(found.remove("CKA_ID"), Some(hex::encode(version.key_version_id.as_bytes())));
            assert_eq!(found.remove("CKA_LABEL"), Some(format!("bulla cmk {}", version.key_version_id)));
            assert_eq!(found, cmk_attributes());
        }

        let mut found = Vec::new();
        files(server.data(), &mut found);
        // What `bulla dev` keeps for its developer, readable by nobody else: the root's access key, for clients and shells.
        found.retain(|(name, _)| !name.ends_with("/access-key-secret") && !name.ends_with("/env.sh"));
        found.push(("the log".to_owned(), server.log().into_bytes()));
        let secrets = [canary, &server.ready.access_key_secret, access_key["AccessKeySecret"].as_str().expect("shown once")];
        let secrets = secrets.iter().map(|text| text.as_bytes()).chain(keys.iter().map(|(_, key)| key.expose().as_slice()));
        for secret in secrets {
            for (name, bytes) in &found {
                assert!(!bytes.windows(secret.len()).any(|w| w == secret), "a secret stands in {name}");
            }
        }
    });
}

#[test]
fn a_replayed_write_changes_nothing_also_after_a_restart() {
    let (_folder, mut server) = on_sqlite();
    let client = server.client();
    let parameters = [("SecretName", "once"), ("VersionId", "v1"), ("SecretData", "x")];
    let request = client.request("CreateSecret", &parameters).nonce("replayed-nonce-1");
    let bytes = request.bytes();
    assert_eq!(client.send_raw(&bytes).expect("an answer").status, 200);
    let forced = [("SecretName", "once"), ("ForceDeleteWithoutRecovery", "true")];
    client.call("DeleteSecret", &forced).ok();
    assert_eq!(client.send_raw(&bytes).expect("an answer").code(), "SignatureNonceUsed");
    server.stop();
    server.restart();
    let client = server.client();
    assert_eq!(client.send_raw(&bytes).expect("an answer").code(), "SignatureNonceUsed");
    assert_eq!(client.call("GetSecretValue", &[("SecretName", "once")]).code(), "Forbidden.ResourceNotFound");
}

/// SQLite's locks hold from the first connection on: a program that looks at the database and goes away does not take itself for the last
/// one, and leaves the log that the server writes.
#[test]
fn another_program_may_look_at_the_database() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    for round in 0..5 {
        std::thread::scope(|scope| {
            for n in 0..4 {
                let client = &client;
                scope.spawn(move || create(client, &format!("looked-at/{round}-{n}"), "value").ok());
            }
        });
        let mut other = database(&server);
        other.batch_execute("SELECT count(*) FROM secrets").expect("readable");
        drop(other);
        assert!(server.data().join("bulla.db-wal").exists(), "round {round}: the log is there");
        create(&client, &format!("looked-at/after-{round}"), "value").ok();
    }
    assert_eq!(client.page("/readyz").status, 200);
}
