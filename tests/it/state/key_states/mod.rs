//! The table of key states: every operation on a key in every state, one cell after the other, through HTTP.
//!
//! The tables are in `rows.rs`: a row is one line, a cell is the code that is answered.

mod rows;

use bulla::api::table;
use bulla_test_support::client::{Answer, Client};
use bulla_test_support::server::Server;
use rows::{
    ALGORITHM, DECRYPTING, DIGEST, EXTERNAL, HMAC, KEY, MAC, MESSAGE, NEVER, NOT_ON_A_KEY, OAEP, PSS, ROWS, RSA, Row, SIGNING,
    STATES, TEXT, TOO_SOON, VERSION,
};

use crate::api::import::wrap;
use crate::on_sqlite;

fn state(client: &Client, key: &str) -> String {
    client.call("DescribeKey", &[("KeyId", key)]).ok().json["KeyMetadata"]["KeyState"].as_str().expect("a state").to_owned()
}

/// A key, and what the rows need of it.
#[derive(Clone, Default)]
struct Subject {
    key: String,
    version: String,
    /// What was made with it.
    made: String,
    /// A secret under it.
    secret: String,
    /// Material for it, and the import token; of EXTERNAL keys.
    wrapped: String,
    token: String,
}

impl Subject {
    fn new(client: &Client, parameters: &[(&str, &str)]) -> Self {
        let made = client.call("CreateKey", parameters).ok();
        let key = made.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
        Self { version: client.key_version(&key), key, ..Self::default() }
    }

    /// A key with imported material.
    fn external(client: &Client) -> Self {
        let subject = Self::new(client, &[("Origin", "EXTERNAL")]);
        let parameters = client.call("GetParametersForImport", &[("KeyId", &subject.key), RSA, OAEP]).ok();
        let wrapped = wrap(&parameters, OAEP.1, &[7; 32]);
        let subject = Self { wrapped, token: parameters.text("ImportToken").to_owned(), ..subject };
        subject.bring(client, "Enabled");
        subject
    }

    /// The same with a secret under it, and a blob.
    fn furnished(self, client: &Client) -> Self {
        let secret = format!("under/{}", self.key);
        let value = [("SecretName", secret.as_str()), ("VersionId", "v1"), ("SecretData", "value")];
        client.call("CreateSecret", &[&value[..], &[("EncryptionKeyId", &self.key)]].concat()).ok();
        let data_key = client.call("GenerateDataKey", &[("KeyId", &self.key)]).ok();
        Self { secret, made: data_key.text("CiphertextBlob").to_owned(), ..self }
    }

    /// Brings the key from any state to another.
    fn bring(&self, client: &Client, wanted: &str) {
        let id = ("KeyId", self.key.as_str());
        if state(client, &self.key) == "PendingDeletion" {
            client.call("CancelKeyDeletion", &[id]).ok();
        }
        if state(client, &self.key) == "PendingImport" {
            client.call("ImportKeyMaterial", &[id, ("EncryptedKeyMaterial", &self.wrapped), ("ImportToken", &self.token)]).ok();
        }
        match wanted {
            "Disabled" => client.call("DisableKey", &[id]).ok(),
            _ => client.call("EnableKey", &[id]).ok(),
        };
        match wanted {
            "PendingDeletion" => drop(client.call("ScheduleKeyDeletion", &[id, ("PendingWindowInDays", "7")]).ok()),
            "PendingImport" => drop(client.call("DeleteKeyMaterial", &[id]).ok()),
            _ => {}
        }
        assert_eq!(state(client, &self.key), wanted);
    }
}

/// Goes through the tables.
struct Walk<'a> {
    client: Client,
    account: &'a str,
    /// A key that stays Enabled, a blob under it, and a public key in Base64.
    other: String,
    others: String,
    public: String,
    cells: std::cell::Cell<u32>,
}

impl<'a> Walk<'a> {
    fn new(server: &'a Server) -> Self {
        let client = server.client();
        let other = Subject::new(&client, &[]).key;
        let others = client.call("Encrypt", &[("KeyId", &other), TEXT]).ok().text("CiphertextBlob").to_owned();
        let pair = Subject::new(&client, &[("KeySpec", "RSA_2048")]);
        let pem = client.call("GetPublicKey", &[("KeyId", &pair.key), ("KeyVersionId", &pair.version)]).ok();
        let public = pem.text("PublicKey").lines().filter(|line| !line.starts_with("-----")).collect();
        Self { client, account: &server.ready.account_id, other, others, public, cells: std::cell::Cell::new(0) }
    }

    /// Asks for an operation with the placeholders of a row filled in.
    fn ask(&self, subject: &Subject, operation: &str, parameters: &[(&str, &str)]) -> Answer {
        let n = self.cells.get().to_string();
        let fill = |text: &str| {
            let pairs = [
                ("{key}", subject.key.as_str()),
                ("{version}", &subject.version),
                ("{made}", &subject.made),
                ("{secret}", &subject.secret),
                ("{wrapped}", &subject.wrapped),
                ("{token}", &subject.token),
                ("{account}", self.account),
                ("{other}", &self.other),
                ("{others}", &self.others),
                ("{public}", &self.public),
                ("{alias}", "alias/of-{n}"),
                ("{n}", &n),
            ];
            pairs.into_iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
        };
        let parameters: Vec<(&str, String)> = parameters.iter().map(|(name, text)| (*name, fill(text))).collect();
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, text)| (*name, text.as_str())).collect();
        self.client.call(operation, &parameters)
    }

    /// Checks every cell of these rows; the last column is that of `waiting`, where there is one.
    fn check(&self, rows: &[Row], subject: &Subject, waiting: Option<&Subject>) {
        for (operation, parameters, codes) in rows {
            for (state, code) in STATES.iter().zip(codes).filter(|(_, code)| **code != NEVER) {
                self.cells.set(self.cells.get() + 1);
                let subject = waiting.filter(|_| *state == "PendingImport").unwrap_or(subject);
                subject.bring(&self.client, "Enabled");
                let alias = format!("alias/of-{}", self.cells.get());
                self.client.call("CreateAlias", &[("KeyId", &subject.key), ("AliasName", &alias)]).ok();
                subject.bring(&self.client, state);
                let answer = self.ask(subject, operation, parameters);
                assert_eq!(answer.code(), *code, "{operation} in state {state}: {answer:?}");
                let status = match *code {
                    "" => 200,
                    TOO_SOON => 400,
                    code if code.starts_with("Rejected.") => 409,
                    _ => 400,
                };
                assert_eq!(answer.status, status, "{operation} in state {state}");
            }
        }
    }

    /// The same subject with what an operation on it answers in this field.
    fn with(&self, subject: Subject, operation: &str, parameters: &[(&str, &str)], field: &str) -> Subject {
        let made = self.ask(&subject, operation, parameters).ok().text(field).to_owned();
        Subject { made, ..subject }
    }
}

#[test]
fn every_cell_of_symmetric_keys() {
    let (_folder, server) = on_sqlite();
    let walk = Walk::new(&server);
    let own = Subject::new(&walk.client, &[]).furnished(&walk.client);
    let external = Subject::external(&walk.client).furnished(&walk.client);
    let own = Subject { wrapped: external.wrapped.clone(), token: external.token.clone(), ..own };
    walk.check(ROWS, &own, Some(&external));
    walk.check(EXTERNAL, &external, None);
}

#[test]
fn every_cell_of_pairs_and_mac_keys() {
    let (_folder, server) = on_sqlite();
    let walk = Walk::new(&server);
    let new = |parameters: &[(&str, &str)]| Subject::new(&walk.client, parameters);
    let signs = new(&[("KeySpec", "RSA_2048"), ("KeyUsage", "SIGN/VERIFY")]);
    walk.check(SIGNING, &walk.with(signs, "AsymmetricSign", &[KEY, VERSION, PSS, DIGEST], "Value"), None);
    let decrypts = new(&[("KeySpec", "RSA_2048"), ("KeyUsage", "ENCRYPT/DECRYPT")]);
    let decrypts = walk.with(decrypts, "AsymmetricEncrypt", &[KEY, VERSION, ALGORITHM, TEXT], "CiphertextBlob");
    walk.check(DECRYPTING, &decrypts, None);
    let mac = new(&[("KeySpec", "HMAC_SHA_256")]);
    walk.check(MAC, &walk.with(mac, "GenerateMac", &[KEY, HMAC, MESSAGE], "Mac"), None);
}

/// What comes of a key whose material goes and comes: the state after each step.
#[test]
fn material_leads_from_state_to_state() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let never = Subject::new(&client, &[("Origin", "EXTERNAL")]);
    let imported = Subject::external(&client);
    let step = |subject: &Subject, operation: &str, after: &str| {
        let id = ("KeyId", subject.key.as_str());
        let more: &[(&str, &str)] = match operation {
            "ImportKeyMaterial" => &[("EncryptedKeyMaterial", &subject.wrapped), ("ImportToken", &subject.token)],
            "ScheduleKeyDeletion" => &[("PendingWindowInDays", "7")],
            _ => &[],
        };
        client.call(operation, &[&[id], more].concat()).ok();
        assert_eq!(state(&client, &subject.key), after, "after {operation}");
        let date = client.call("DescribeKey", &[id]).ok().json["KeyMetadata"]["DeleteDate"].clone();
        assert_eq!(date != "", after == "PendingDeletion", "DeleteDate after {operation}");
    };
    for (operation, after) in [("ScheduleKeyDeletion", "PendingDeletion"), ("CancelKeyDeletion", "PendingImport")] {
        step(&never, operation, after);
    }
    for (operation, after) in [
        ("DeleteKeyMaterial", "PendingImport"),
        ("ImportKeyMaterial", "Enabled"),
        ("DisableKey", "Disabled"),
        ("ImportKeyMaterial", "Disabled"),
        ("DeleteKeyMaterial", "PendingImport"),
        ("ImportKeyMaterial", "Enabled"),
        ("ScheduleKeyDeletion", "PendingDeletion"),
        ("CancelKeyDeletion", "Enabled"),
        ("ScheduleKeyDeletion", "PendingDeletion"),
        ("DeleteKeyMaterial", "PendingDeletion"),
        ("CancelKeyDeletion", "PendingImport"),
        ("ImportKeyMaterial", "Enabled"),
    ] {
        step(&imported, operation, after);
    }
}

#[test]
fn every_operation_on_keys_has_a_row() {
    let tables = [ROWS, EXTERNAL, SIGNING, DECRYPTING, MAC].concat();
    let in_table = |name: &str| tables.iter().any(|(row, ..)| *row == name);
    let others = |name: &str| NOT_ON_A_KEY.contains(&name) || name.contains("Secret");
    let missing: Vec<&str> = table::names().filter(|name| !in_table(name) && !others(name)).collect();
    assert!(missing.is_empty(), "add a row for {missing:?}, or name them among those that act on no key");
}
