//! The end of a secret's deletion window.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

use crate::{database, on_sqlite, restart_ahead, time_ahead, until};

/// Behind a window of seven days, and inside one of thirty.
const EIGHT_DAYS: i64 = 8 * 86_400;

#[derive(QueryableByName)]
struct Rows {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

#[test]
fn a_secret_goes_when_its_window_is_over() {
    let (_folder, mut server) = on_sqlite();
    let client = server.client();
    for name in ["ends", "waits", "stays"] {
        let tags = r#"[{"TagKey":"k","TagValue":"v"}]"#;
        client.call("CreateSecret", &[("SecretName", name), ("VersionId", "v1"), ("SecretData", "x"), ("Tags", tags)]).ok();
        client.call("PutSecretValue", &[("SecretName", name), ("VersionId", "v2"), ("SecretData", "y")]).ok();
    }
    client.call("DeleteSecret", &[("SecretName", "ends"), ("RecoveryWindowInDays", "7")]).ok();
    client.call("DeleteSecret", &[("SecretName", "waits")]).ok();
    restart_ahead(&mut server, EIGHT_DAYS);
    let later = time_ahead(EIGHT_DAYS);
    let call = |action: &str, parameters: &[(&str, &str)]| {
        client.request(action, parameters).timestamp(&later).send().expect("an answer")
    };

    // At once for callers, whether the job has run or not.
    assert_eq!(call("RestoreSecret", &[("SecretName", "ends")]).code(), "Forbidden.ResourceNotFound");
    assert_eq!(call("ListSecrets", &[]).ok().json["TotalCount"], 2);
    let mut database = database(&server);
    let mut rows = |table: &str| -> i64 {
        let query = format!("SELECT count(*) AS rows FROM {table}");
        sql_query(query).get_result::<Rows>(&mut database).expect("a number").rows
    };
    until(Duration::from_secs(90), "the secret's end", || rows("secrets") == 2);
    assert_eq!([rows("secret_versions"), rows("version_stages"), rows("tags")], [4, 4, 2], "all of it, and nothing else");
    assert_eq!(call("ListSecrets", &[]).ok().json["TotalCount"], 2);

    let again = [("SecretName", "ends"), ("VersionId", "v1"), ("SecretData", "another")];
    call("CreateSecret", &again).ok();
    assert_eq!(
        call("DescribeSecret", &[("SecretName", "ends"), ("FetchTags", "true")]).ok().json["Tags"]["Tag"],
        serde_json::json!([])
    );
    call("RestoreSecret", &[("SecretName", "waits")]).ok();
    assert_eq!(call("GetSecretValue", &[("SecretName", "waits")]).ok().text("SecretData"), "y");
    server.stop();
    let log = std::fs::read_to_string(server.data().join("audit/audit.jsonl")).expect("an audit log");
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let ended = lines.filter(|l| l["principal"] == "service" && l["action"] == "DeleteSecret" && l["kind"] == "outcome");
    let ended: Vec<_> = ended.map(|l| (l["resource"].to_string(), l["code"].to_string())).collect();
    assert!(matches!(&ended[..], [(resource, code)] if resource.contains("secret/ends") && code.contains("OK")), "{ended:?}");
}
