//! The crate vaultrs against Bulla: tokens, logins, KV version 2, transit. Its answers have no defaults, so that a member that is absent is an
//! error. Driven by vault_tools.py: VAULT_ADDR and VAULT_CACERT from the environment; role_id, secret_id, path and key as JSON on standard
//! input. Prints what it read last; panics when something is not as it must be.

use std::collections::HashMap;
use std::io::read_to_string;

use serde_json::Value;
use vaultrs::api::kv2::requests::{SetSecretMetadataRequest, SetSecretRequestOptions};
use vaultrs::auth::approle;
use vaultrs::client::{Client, VaultClient, VaultClientSettingsBuilder};
use vaultrs::error::ClientError;
use vaultrs::transit::data::{decrypt, encrypt};
use vaultrs::{kv2, sys, token};

const KV: &str = "secret";

fn status(refused: Result<impl Sized, ClientError>) -> u16 {
    match refused {
        Err(ClientError::APIError { code, .. }) => code,
        // What is deleted is answered with an envelope, which this crate takes for no error of Vault's.
        Err(ClientError::RestClientError { source: rustify::errors::ClientError::ServerResponseError { code, .. } }) => code,
        Err(other) => panic!("another error: {other:?}"),
        Ok(_) => panic!("not refused"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let input: HashMap<String, String> =
        serde_json::from_str(&read_to_string(std::io::stdin()).expect("standard input")).expect("JSON");
    let (path, key) = (input["path"].as_str(), input["key"].as_str());
    let settings = VaultClientSettingsBuilder::default().token("").build().expect("settings");
    let mut client = VaultClient::new(settings).expect("a client");
    assert!(!sys::health(&client).await.expect("health").sealed);
    sys::status(&client).await.expect("a status");
    assert_eq!(status(approle::login(&client, "approle", &input["role_id"], "wrong").await), 400);
    let auth = approle::login(&client, "approle", &input["role_id"], &input["secret_id"]).await.expect("a login");
    client.set_token(&auth.client_token);
    assert!(token::lookup_self(&client).await.expect("own token").ttl > 3000);
    assert!(token::renew_self(&client, None).await.expect("renewed").renewable);

    let value = |n: u32| HashMap::from([("n".to_owned(), n.to_string())]);
    assert_eq!(status(kv2::read::<Value>(&client, KV, path).await), 404);
    for n in 0..3 {
        let options = SetSecretRequestOptions { cas: n };
        let made = kv2::set_with_options(&client, KV, path, &value(n), options).await.expect("a version");
        assert_eq!(made.version, u64::from(n) + 1);
    }
    let conflict = kv2::set_with_options(&client, KV, path, &value(9), SetSecretRequestOptions { cas: 1 }).await;
    assert_eq!(status(conflict), 400);
    let read: HashMap<String, String> = kv2::read_version(&client, KV, path, 2).await.expect("version 2");
    assert_eq!(read, value(1));
    let (folder, name) = path.rsplit_once('/').expect("a folder");
    assert!(kv2::list(&client, KV, folder).await.expect("names").contains(&name.to_owned()));
    let custom = HashMap::from([("team".to_owned(), "blue".to_owned())]);
    let mut metadata = SetSecretMetadataRequest::builder();
    metadata.custom_metadata(custom.clone());
    kv2::set_metadata(&client, KV, path, Some(&mut metadata)).await.expect("metadata");
    let told = kv2::read_metadata(&client, KV, path).await.expect("metadata");
    assert_eq!((told.current_version, told.versions.len(), told.custom_metadata), (3, 3, Some(custom)));
    kv2::delete_latest(&client, KV, path).await.expect("deleted");
    assert_eq!(status(kv2::read::<Value>(&client, KV, path).await), 404);
    kv2::undelete_versions(&client, KV, path, vec![3]).await.expect("undeleted");
    kv2::delete_versions(&client, KV, path, vec![2]).await.expect("deleted");
    kv2::destroy_versions(&client, KV, path, vec![1]).await.expect("destroyed");
    let told = kv2::read_metadata(&client, KV, path).await.expect("metadata");
    assert!(told.versions["1"].destroyed && !told.versions["3"].destroyed);
    let last: Value = kv2::read(&client, KV, path).await.expect("the current one");

    let sealed = encrypt(&client, "transit", key, "aHVudGVyMg==", None).await.expect("encrypted");
    let opened = decrypt(&client, "transit", key, &sealed.ciphertext, None).await.expect("decrypted");
    assert_eq!(opened.plaintext, "aHVudGVyMg==");

    kv2::delete_metadata(&client, KV, path).await.expect("deleted");
    assert_eq!(status(kv2::read_metadata(&client, KV, path).await), 404);
    let child = token::new(&client, None).await.expect("a token");
    token::revoke_self(&client).await.expect("revoked");
    assert_eq!(status(token::lookup_self(&client).await), 403);
    client.set_token(&child.client_token);
    assert_eq!(status(token::lookup_self(&client).await), 403, "it ended with its parent");
    println!("{last}");
}
