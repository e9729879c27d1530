//! The table of key states: every operation on a key in every state, one cell after the other, through HTTP.
//!
//! Source: the table of the API's documentation of keys. A row is one line; a cell is the code that is answered.

use bulla::api::table;
use bulla_test_support::client::Client;

use super::on_sqlite;

/// The columns.
const STATES: [&str; 4] = ["Enabled", "Disabled", "PendingDeletion", "PendingImport"];

const OK: &str = "";
const DISABLED: &str = "Rejected.Disabled";
const PENDING: &str = "Rejected.PendingDeletion";
const IMPORT: &str = "Rejected.PendingImport";
const CHANGE: &str = "Rejected.StateModifiedFailed";
/// The state allows it; what is refused is a second version on the key's first day.
const TOO_SOON: &str = "Rejected.LimitExceeded";

/// The key's id; an alias of it; a name that no alias has; its primary version.
const KEY: (&str, &str) = ("KeyId", "{key}");
const ALIAS: (&str, &str) = ("AliasName", "{alias}");
const NEW_ALIAS: (&str, &str) = ("AliasName", "{new}");
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

/// Makes a key of this origin; its id, and that of its version.
fn make(client: &Client, origin: &str) -> (String, String) {
    let made = client.call("CreateKey", &[("Origin", origin)]).ok();
    let text = |name: &str| made.json["KeyMetadata"][name].as_str().expect("a text").to_owned();
    (text("KeyId"), text("PrimaryKeyVersion"))
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

#[test]
fn every_cell_of_the_table() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let (own, own_version) = make(&client, "Aliyun_KMS");
    let account = &server.ready.account_id;
    for (row, (operation, parameters, codes)) in ROWS.iter().enumerate() {
        for (column, (state, code)) in STATES.iter().zip(codes).enumerate() {
            // Only a key of another origin waits for material; it costs the token nothing.
            let waits = *state == "PendingImport";
            let (key, version) = if waits { make(&client, "EXTERNAL") } else { (own.clone(), own_version.clone()) };
            if !waits {
                bring(&client, &key, "Enabled");
            }
            let (alias, new) = (format!("alias/{row}-{column}"), format!("alias/new-{row}-{column}"));
            client.call("CreateAlias", &[("KeyId", &key), ("AliasName", &alias)]).ok();
            if !waits {
                bring(&client, &key, state);
            }
            let value = |text: &str| {
                let filled = text.replace("{key}", &key).replace("{version}", &version).replace("{account}", account);
                filled.replace("{alias}", &alias).replace("{new}", &new)
            };
            let parameters: Vec<(&str, String)> = parameters.iter().map(|(name, text)| (*name, value(text))).collect();
            let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, text)| (*name, text.as_str())).collect();
            let answer = client.call(operation, &parameters);
            assert_eq!(answer.code(), *code, "{operation} in state {state}: {answer:?}");
            assert_eq!(answer.status == 200, code.is_empty(), "{operation} in state {state}: {answer:?}");
            if code.starts_with("Rejected.") && *code != TOO_SOON {
                assert_eq!(answer.status, 409, "{operation} in state {state}");
            }
        }
    }
}

#[test]
fn every_operation_on_keys_has_a_row() {
    let in_table = |name: &str| ROWS.iter().any(|(row, ..)| *row == name);
    let others = |name: &str| ELSEWHERE.contains(&name) || NOT_ON_A_KEY.contains(&name) || name.contains("Secret");
    let missing: Vec<&str> = table::names().filter(|name| !in_table(name) && !others(name)).collect();
    assert!(missing.is_empty(), "add a row for {missing:?}, or name them among those that act on no key");
}
