//! The table of key states: every operation on a key in every state, one cell after the other, through HTTP.
//!
//! Source: the table of the API's documentation of keys. A row is one line; a cell is the code that is answered. There is one table for
//! each sort of key.

use bulla::api::table;
use bulla_test_support::client::{Answer, Client};

use super::on_sqlite;

/// The columns.
const STATES: [&str; 4] = ["Enabled", "Disabled", "PendingDeletion", "PendingImport"];

const OK: &str = "";
const DISABLED: &str = "Rejected.Disabled";
const PENDING: &str = "Rejected.PendingDeletion";
const IMPORT: &str = "Rejected.PendingImport";
const CHANGE: &str = "Rejected.StateModifiedFailed";
/// A blob under a key without material cannot be had: its material would have to be deleted first.
const NO_BLOB: &str = "-";
/// The state allows it; what is refused is a second version on the key's first day.
const TOO_SOON: &str = "Rejected.LimitExceeded";

/// The key's id; an alias of it; a name that no alias has; its primary version.
const KEY: (&str, &str) = ("KeyId", "{key}");
const ALIAS: (&str, &str) = ("AliasName", "{alias}");
const NEW_ALIAS: (&str, &str) = ("AliasName", "{new}");
/// What was made with the key: a blob, a signature, a MAC.
const BLOB: (&str, &str) = ("CiphertextBlob", "{made}");
const SIGNATURE: (&str, &str) = ("Value", "{made}");
const DIGEST: (&str, &str) = ("Digest", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
const PSS: (&str, &str) = ("Algorithm", "RSA_PSS_SHA_256");
const ALGORITHM: (&str, &str) = ("Algorithm", "RSAES_OAEP_SHA_256");
const HMAC: (&str, &str) = ("Algorithm", "HMAC_SHA_256");
/// A public key that data keys are exported under.
const PUBLIC: (&str, &str) = ("PublicKeyBlob", "{public}");
const WRAPPING: (&str, &str) = ("WrappingKeySpec", "RSA_2048");
const OAEP: (&str, &str) = ("WrappingAlgorithm", "RSAES_OAEP_SHA_256");
const KEY_1: (&str, &str) = ("ResourceId.1", "{key}");
const TYPE: (&str, &str) = ("ResourceType", "key");
const REGION: (&str, &str) = ("RegionId", "cn-hangzhou");
const POLICY: (&str, &str) = (
    "Policy",
    r#"{"Version":"1","Statement":[{"Effect":"Allow","Principal":{"RAM":["acs:ram::{account}:user/ann"]},"Action":["kms:Decrypt"],"Resource":["*"]}]}"#,
);
const VERSION: (&str, &str) = ("KeyVersionId", "{version}");

/// Operation, parameters, and the codes in the states' order.
type Row = (&'static str, &'static [(&'static str, &'static str)], [&'static str; 4]);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("CancelKeyDeletion",    &[KEY],                                       [CHANGE,   CHANGE,   OK,      CHANGE]),
    ("CreateAlias",          &[KEY, NEW_ALIAS],                            [OK,       OK,       CHANGE,  OK]),
    ("CreateKey",            &[],                                          [OK,       OK,       OK,      OK]),
    ("CreateKeyVersion",     &[KEY],                                       [TOO_SOON, DISABLED, PENDING, IMPORT]),
    ("DeleteAlias",          &[ALIAS],                                     [OK,       OK,       OK,      OK]),
    ("DescribeKey",          &[KEY],                                       [OK,       OK,       OK,      OK]),
    ("DescribeKeyVersion",   &[KEY, VERSION],                              [OK,       OK,       OK,      OK]),
    ("DisableKey",           &[KEY],                                       [OK,       OK,       CHANGE,  CHANGE]),
    ("EnableKey",            &[KEY],                                       [OK,       OK,       CHANGE,  CHANGE]),
    ("ListAliases",          &[],                                          [OK,       OK,       OK,      OK]),
    ("ListAliasesByKeyId",   &[KEY],                                       [OK,       OK,       OK,      OK]),
    ("ListKeyVersions",      &[KEY],                                       [OK,       OK,       OK,      OK]),
    ("ListKeys",             &[],                                          [OK,       OK,       OK,      OK]),
    ("ScheduleKeyDeletion",  &[KEY, ("PendingWindowInDays", "7")],         [OK,       OK,       CHANGE,  OK]),
    ("SetDeletionProtection", &[KEY, ("EnableDeletionProtection", "false")], [OK,       OK,       PENDING, OK]),
    ("TagResource",          &[KEY, ("Tags", r#"[{"TagKey":"k","TagValue":"v"}]"#)], [OK,       OK,       PENDING, OK]),
    ("UntagResource",        &[KEY, ("TagKeys", r#"["k"]"#)],              [OK,       OK,       PENDING, OK]),
    ("TagResources",         &[KEY_1, TYPE, REGION, ("Tag.1.Key", "k")],   [OK,       OK,       PENDING, OK]),
    ("UntagResources",       &[KEY_1, TYPE, REGION, ("TagKey.1", "k")],    [OK,       OK,       PENDING, OK]),
    ("ListTagResources",     &[KEY_1, TYPE, REGION],                       [OK,       OK,       OK,      OK]),
    ("GetKeyPolicy",         &[KEY],                                       [OK,       OK,       OK,      OK]),
    ("SetKeyPolicy",         &[KEY, POLICY],                               [OK,       OK,       PENDING, OK]),
    ("ListResourceTags",     &[KEY],                                       [OK,       OK,       OK,      OK]),
    ("UpdateAlias",          &[KEY, ALIAS],                                [OK,       OK,       PENDING, OK]),
    ("UpdateKeyDescription", &[KEY, ("Description", "text")],              [OK,       OK,       PENDING, OK]),
    ("UpdateRotationPolicy", &[KEY, ("EnableAutomaticRotation", "false")], [OK,       DISABLED, PENDING, IMPORT]),
    ("Encrypt",              &[KEY, ("Plaintext", "YQ==")],                [OK,       DISABLED, PENDING, IMPORT]),
    ("Decrypt",              &[BLOB],                                      [OK,       DISABLED, PENDING, NO_BLOB]),
    ("GenerateDataKey",      &[KEY],                                       [OK,       DISABLED, PENDING, IMPORT]),
    ("GenerateDataKeyWithoutPlaintext", &[KEY],                            [OK,       DISABLED, PENDING, IMPORT]),
    ("GenerateAndExportDataKey", &[KEY, PUBLIC, WRAPPING, OAEP],           [OK,       DISABLED, PENDING, IMPORT]),
    ("ExportDataKey",        &[BLOB, PUBLIC, WRAPPING, OAEP],              [OK,       DISABLED, PENDING, NO_BLOB]),
    ("ReEncrypt",            &[BLOB, ("DestinationKeyId", "{key}")],       [OK,       DISABLED, PENDING, NO_BLOB]),
];

/// Rows of pairs that sign, of pairs that decrypt, and of MAC keys, which are never imported: three columns.
#[rustfmt::skip]
const SIGNING: &[Row] = &[
    ("AsymmetricSign",       &[KEY, VERSION, PSS, DIGEST],                 [OK,       DISABLED, PENDING, NO_BLOB]),
    ("AsymmetricVerify",     &[KEY, VERSION, PSS, DIGEST, SIGNATURE],      [OK,       DISABLED, PENDING, NO_BLOB]),
    ("GetPublicKey",         &[KEY, VERSION],                              [OK,       DISABLED, PENDING, NO_BLOB]),
];

#[rustfmt::skip]
const DECRYPTING: &[Row] = &[
    ("AsymmetricEncrypt",    &[KEY, VERSION, ALGORITHM, ("Plaintext", "YQ==")], [OK,  DISABLED, PENDING, NO_BLOB]),
    ("AsymmetricDecrypt",    &[KEY, VERSION, ALGORITHM, BLOB],             [OK,       DISABLED, PENDING, NO_BLOB]),
];

#[rustfmt::skip]
const MAC: &[Row] = &[
    ("GenerateMac",          &[KEY, HMAC, ("Message", "YQ==")],            [OK,       DISABLED, PENDING, NO_BLOB]),
    ("VerifyMac",            &[KEY, HMAC, ("Message", "YQ=="), ("Mac", "{made}")], [OK, DISABLED, PENDING, NO_BLOB]),
];

/// Operations on EXTERNAL keys alone; the tests of imports show them.
const ELSEWHERE: &[&str] = &["DeleteKeyMaterial", "GetParametersForImport", "ImportKeyMaterial"];

/// Served operations on no key, besides those on secrets.
const NOT_ON_A_KEY: &[&str] = &[
    "CreateApplicationAccessPoint",
    "CreateClientKey",
    "CreateNetworkRule",
    "CreatePolicy",
    "DeleteApplicationAccessPoint",
    "DeleteClientKey",
    "DeleteNetworkRule",
    "DeletePolicy",
    "DescribeAccountKmsStatus",
    "DescribeApplicationAccessPoint",
    "DescribeNetworkRule",
    "DescribePolicy",
    "DescribeRegions",
    "GetClientKey",
    "GetRandomPassword",
    "ListApplicationAccessPoints",
    "ListClientKeys",
    "ListNetworkRules",
    "ListPolicies",
    "OpenKmsService",
    "UpdateApplicationAccessPoint",
    "UpdateNetworkRule",
    "UpdatePolicy",
];

fn state(client: &Client, key: &str) -> String {
    client.call("DescribeKey", &[("KeyId", key)]).ok().json["KeyMetadata"]["KeyState"].as_str().expect("a state").to_owned()
}

/// A key, and what the rows need of it.
#[derive(Clone, Default)]
struct Subject {
    key: String,
    version: String,
    made: String,
    public: String,
}

impl Subject {
    fn new(client: &Client, parameters: &[(&str, &str)]) -> Self {
        let made = client.call("CreateKey", parameters).ok();
        let text = |name: &str| made.json["KeyMetadata"][name].as_str().expect("a text").to_owned();
        Self { key: text("KeyId"), version: text("PrimaryKeyVersion"), ..Self::default() }
    }

    /// The same with what an operation on it answers in this field.
    fn with(mut self, client: &Client, operation: &str, parameters: &[(&str, &str)], field: &str) -> Self {
        let answer = self.ask(client, operation, parameters, "", "");
        self.made = answer.ok().text(field).to_owned();
        self
    }

    /// Asks for an operation with the placeholders of a row filled in.
    fn ask(&self, client: &Client, operation: &str, parameters: &[(&str, &str)], alias: &str, account: &str) -> Answer {
        let fill = |text: &str| {
            let text = text.replace("{key}", &self.key).replace("{version}", &self.version).replace("{account}", account);
            let text = text.replace("{made}", &self.made).replace("{public}", &self.public);
            text.replace("{alias}", &format!("alias/{alias}")).replace("{new}", &format!("alias/new-{alias}"))
        };
        let parameters: Vec<(&str, String)> = parameters.iter().map(|(name, text)| (*name, fill(text))).collect();
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, text)| (*name, text.as_str())).collect();
        client.call(operation, &parameters)
    }
}

/// Brings a key from any state to another.
fn bring(client: &Client, key: &str, wanted: &str) {
    let id = ("KeyId", key);
    if state(client, key) == "PendingDeletion" {
        client.call("CancelKeyDeletion", &[id]).ok();
    }
    match wanted {
        "Disabled" => client.call("DisableKey", &[id]).ok(),
        _ => client.call("EnableKey", &[id]).ok(),
    };
    if wanted == "PendingDeletion" {
        client.call("ScheduleKeyDeletion", &[id, ("PendingWindowInDays", "7")]).ok();
    }
    assert_eq!(state(client, key), wanted);
}

/// Goes through the first `columns` columns of some rows.
fn check(client: &Client, account: &str, rows: &[Row], columns: usize, own: &Subject) {
    for (operation, parameters, codes) in rows {
        for (column, (state, code)) in STATES.iter().zip(codes).take(columns).enumerate() {
            if *code == NO_BLOB {
                continue;
            }
            // Only a key of another origin waits for material; it costs the token nothing.
            let waits = *state == "PendingImport";
            let subject = if waits {
                Subject { public: own.public.clone(), ..Subject::new(client, &[("Origin", "EXTERNAL")]) }
            } else {
                bring(client, &own.key, "Enabled");
                own.clone()
            };
            let alias = format!("{operation}-{column}");
            client.call("CreateAlias", &[("KeyId", &subject.key), ("AliasName", &format!("alias/{alias}"))]).ok();
            if !waits {
                bring(client, &own.key, state);
            }
            let answer = subject.ask(client, operation, parameters, &alias, account);
            assert_eq!(answer.code(), *code, "{operation} in state {state}: {answer:?}");
            assert_eq!(answer.status == 200, code.is_empty(), "{operation} in state {state}: {answer:?}");
            if code.starts_with("Rejected.") && *code != TOO_SOON {
                assert_eq!(answer.status, 409, "{operation} in state {state}");
            }
        }
    }
}

#[test]
fn every_cell_of_the_tables() {
    let (_folder, server) = on_sqlite();
    let (client, account) = (server.client(), server.ready.account_id.as_str());
    let pair = |usage: &str| Subject::new(&client, &[("KeySpec", "RSA_2048"), ("KeyUsage", usage)]);
    let signs = pair("SIGN/VERIFY").with(&client, "AsymmetricSign", &[KEY, VERSION, PSS, DIGEST], "Value");
    let pem = signs.ask(&client, "GetPublicKey", &[KEY, VERSION], "", "").ok().text("PublicKey").to_owned();
    let public: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let own = Subject::new(&client, &[]).with(&client, "GenerateDataKey", &[KEY], "CiphertextBlob");
    check(&client, account, ROWS, 4, &Subject { public, ..own });
    check(&client, account, SIGNING, 3, &signs);
    let encrypted = [KEY, VERSION, ALGORITHM, ("Plaintext", "YQ==")];
    let decrypts = pair("ENCRYPT/DECRYPT").with(&client, "AsymmetricEncrypt", &encrypted, "CiphertextBlob");
    check(&client, account, DECRYPTING, 3, &decrypts);
    let mac = Subject::new(&client, &[("KeySpec", "HMAC_SHA_256")]);
    let mac = mac.with(&client, "GenerateMac", &[KEY, HMAC, ("Message", "YQ==")], "Mac");
    check(&client, account, MAC, 3, &mac);
}

#[test]
fn every_operation_on_keys_has_a_row() {
    let in_table = |name: &str| [ROWS, SIGNING, DECRYPTING, MAC].concat().iter().any(|(row, ..)| *row == name);
    let others = |name: &str| ELSEWHERE.contains(&name) || NOT_ON_A_KEY.contains(&name) || name.contains("Secret");
    let missing: Vec<&str> = table::names().filter(|name| !in_table(name) && !others(name)).collect();
    assert!(missing.is_empty(), "add a row for {missing:?}, or name them among those that act on no key");
}
