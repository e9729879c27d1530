//! `bulla rekey`: everything is as it was, and what the row key of before made is worth nothing; killed anywhere, one of the two is in use.

use std::path::Path;
use std::process::{Command, Output, Stdio};

#[cfg(debug_assertions)]
use bulla::base::failpoint::Step;
use bulla_test_support::client::Client;
use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use serde_json::{Value, json};

use crate::{BULLA, audit_lines, create, database, on_postgres, on_sqlite, verify_audit};

/// Runs a command beside the server's data.
fn said(server: &Server, arguments: &[&str], environment: &[(&str, &str)]) -> (Output, String) {
    let mut command = Command::new(BULLA);
    let command = command.args(arguments).arg("--data").arg(server.data()).envs(environment.iter().copied());
    let output = command.stdin(Stdio::null()).output().expect("the program is there");
    let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    (output, said)
}

/// What `bulla check` says of the system keys.
fn system_keys(server: &Server) -> (String, Value) {
    let check = server.admin(&["check"]);
    let found = check["Checks"].as_array().and_then(|all| all.iter().find(|found| found["Check"] == "system keys"));
    assert_eq!(check["ObjectsWithoutRow"], json!([]), "{check}");
    (found.expect("it is looked at")["Verdict"].as_str().expect("a word").to_owned(), check["TokenObjects"].clone())
}

/// What callers see.
struct Seen {
    user: (String, String),
    blob: String,
}

impl Seen {
    fn made(server: &Server) -> Self {
        let client = server.client();
        create(&client, "app/db", "the value").ok();
        let put = [("SecretName", "app/db"), ("VersionId", "v2"), ("SecretData", "the next value")];
        client.call("PutSecretValue", &put).ok();
        let tags = r#"[{"TagKey":"team","TagValue":"db"}]"#;
        client.call("TagResource", &[("SecretName", "app/db"), ("Tags", tags)]).ok();
        let blob = client
            .call("Encrypt", &[("KeyId", &key(&client)), ("Plaintext", "dGV4dA==")])
            .ok()
            .text("CiphertextBlob")
            .to_owned();
        server.admin(&["user", "create", "ann"]);
        server.admin(&["policy", "attach", "AliyunKMSSecretUserAccess", "--user", "ann"]);
        server.admin(&["token", "create", "--user", "ann"]);
        let made = server.admin(&["access-key", "create", "--user", "ann"]);
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        Self { user: (text("AccessKeyId"), text("AccessKeySecret")), blob }
    }

    fn is_as_it_was(&self, server: &Server) {
        for client in [server.client(), server.client_as(&self.user.0, &self.user.1)] {
            let read = |version| client.call("GetSecretValue", &[("SecretName", "app/db"), ("VersionId", version)]).ok();
            assert_eq!((read("v1").text("SecretData"), read("v2").text("SecretData")), ("the value", "the next value"));
        }
        let client = server.client();
        assert_eq!(client.call("Decrypt", &[("CiphertextBlob", &self.blob)]).ok().text("Plaintext"), "dGV4dA==");
        let shown = client.call("DescribeSecret", &[("SecretName", "app/db"), ("FetchTags", "true")]).ok();
        assert!(shown.json.to_string().contains("team"), "{shown:?}");
        create(&client, &format!("more/{}", uuid::Uuid::new_v4()), "value").ok();
    }
}

fn key(client: &Client) -> String {
    let made = client.call("CreateKey", &[]).ok();
    made.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned()
}

fn everything_is_as_it_was(server: &mut Server) {
    let seen = Seen::made(server);
    let (running, what) = said(server, &["rekey", "--accept"], &[]);
    assert!(running.status.code() == Some(5) && what.contains("a server runs here"), "{what}");
    let backup = server.data().join("../before");
    server.admin(&["backup", "--to", backup.to_str().expect("UTF-8")]);
    server.stop();
    let (verdict, objects) = system_keys(server);
    assert_eq!(verdict, "ok");

    let shown = server.admin(&["rekey"]);
    let number = |name: &str| shown[name].as_i64().expect("a number");
    assert_eq!((&shown["Accepted"], number("Users"), number("BearerTokens")), (&json!(false), 1, 1), "{shown}");
    assert!(number("AccessKeys") == 2 && number("PoliciesOfUsers") == 1, "{shown}");
    server.restart();
    seen.is_as_it_was(server);
    server.stop();

    let done = server.admin(&["rekey", "--accept"]);
    assert!(done["Accepted"] == true && done["Rows"].as_i64() > Some(20), "{done}");
    assert_eq!(server.admin(&["verify", "--open-data-keys"])["FlawCount"], 0);
    assert_eq!(system_keys(server), ("ok".to_owned(), objects), "as many objects as before");
    assert_eq!(server.admin(&["rekey"])["BearerTokens"], 0);
    let admin = std::fs::read_to_string(server.data().join("audit/admin.jsonl")).expect("the log of commands");
    for action in ["Rekey", "DestroyRowKey"] {
        let lines: Vec<_> = admin.lines().filter(|line| line.contains(&format!("\"action\":\"{action}\""))).collect();
        assert!(lines.len() == 2 && lines[1].contains("\"code\":\"OK\""), "{action}: {lines:?}");
    }
    server.restart();
    seen.is_as_it_was(server);
    server.stop();
    verify_audit(server);
    assert_eq!(server.admin(&["restore"])["ChangesLost"], 0);

    // What was backed up before nobody can prove any more.
    let (refused, what) = said(server, &["backup", "verify", backup.to_str().expect("UTF-8")], &[]);
    assert!(refused.status.code() != Some(0) && what.contains("token: ROW") && what.contains("before `bulla rekey`"), "{what}");
    // And again: each has a key of its own.
    server.admin(&["rekey", "--accept"]);
    server.restart();
    seen.is_as_it_was(server);
}

#[test]
fn everything_is_as_it_was_on_sqlite() {
    let (_folder, mut server) = on_sqlite();
    everything_is_as_it_was(&mut server);
}

#[test]
fn everything_is_as_it_was_on_postgres() {
    let (_folder, mut server) = on_postgres();
    everything_is_as_it_was(&mut server);
}

/// Who has the key of before has every row of before, too: the whole database is put back, or a row that does not verify is left in it.
#[test]
fn the_rows_of_before_are_refused() {
    let (folder, mut server) = on_sqlite();
    create(&server.client(), "s", "value").ok();
    server.stop();
    let (before, file) = (folder.path().join("before.db"), server.data().join("bulla.db"));
    database(&server).batch_execute(&format!("VACUUM INTO '{}'", before.display())).expect("a copy");
    let from = |copy: &Path, table: &str| {
        let sql = format!("DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM old.{table}");
        let all = format!("PRAGMA foreign_keys = OFF; ATTACH '{}' AS old; {sql}; DETACH old", copy.display());
        let mut conn = SqliteConnection::establish(file.to_str().expect("UTF-8")).expect("a database");
        conn.batch_execute(&all).expect("put back");
    };
    // A row that is not ours is given no MAC.
    database(&server).batch_execute("UPDATE accounts SET name = 'forged'").expect("forged");
    let (refused, what) = said(&server, &["rekey", "--accept"], &[]);
    assert!(refused.status.code() == Some(1) && what.contains("accounts") && what.contains("bulla verify"), "{what}");
    from(&before, "accounts");
    assert_eq!(system_keys(&server).0, "ok", "the key that was made for it is gone");
    server.admin(&["rekey", "--accept"]);
    let after = folder.path().join("after.db");
    database(&server).batch_execute(&format!("VACUUM INTO '{}'", after.display())).expect("a copy");
    // The row that names the keys.
    from(&before, "deployment");
    let told = server.log().len();
    assert!(server.try_restart().is_err(), "the deployment's row of before was believed");
    assert!(server.log()[told..].contains("token: ROW"), "{}", &server.log()[told..]);
    from(&after, "deployment");
    // Others.
    from(&before, "secrets");
    server.restart();
    assert_eq!(server.client().call("GetSecretValue", &[("SecretName", "s")]).status, 500);
    server.kill();
    from(&after, "secrets");
    server.restart();
    server.client().call("GetSecretValue", &[("SecretName", "s")]).ok();
    server.stop();
    // All.
    put_back(&file, &before);
    let told = server.log().len();
    assert!(server.try_restart().is_err(), "the database of before was taken for that of now");
    assert!(server.log()[told..].contains("token: ROW"), "{}", &server.log()[told..]);
}

/// Puts a copy in the place of the database, which nobody has open.
fn put_back(file: &Path, copy: &Path) {
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(file.with_file_name(format!("bulla.db{end}")));
    }
    std::fs::copy(copy, file).expect("copied");
}

/// Killed at these steps; then a server starts, or the command is run again: in turn, and both in the longer runs.
#[cfg(debug_assertions)]
fn killed_at(server: &mut Server, steps: &[Step]) {
    use std::os::unix::process::ExitStatusExt;

    let seen = Seen::made(server);
    server.stop();
    let objects = system_keys(server).1;
    let both = size(1, 2);
    for (n, step) in steps.iter().enumerate() {
        for again in (0..both).map(|more| (n + more) % 2 == 1) {
            let (killed, what) = said(server, &["rekey", "--accept"], &[("BULLA_FAILPOINT", &format!("{step:?}:1"))]);
            assert_eq!(killed.status.signal(), Some(9), "{step:?}: {what}");
            assert_eq!(system_keys(server).0, "warn", "{step:?}: what is spare is told");
            assert_eq!(server.admin(&["verify"])["FlawCount"], 0, "{step:?}");
            if again {
                server.admin(&["rekey", "--accept"]);
            }
            server.restart();
            seen.is_as_it_was(server);
            server.stop();
            assert_eq!(system_keys(server), ("ok".to_owned(), objects.clone()), "{step:?}: nothing is left");
            assert_eq!(server.admin(&["verify"])["FlawCount"], 0, "{step:?}");
        }
    }
    verify_audit(server);
    let lines = audit_lines(server);
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let service: Vec<_> = lines.filter(|line| line["action"] == "DestroyRowKey").collect();
    assert!(service.iter().any(|line| line["principal"] == "service" && line["code"] == "OK"), "{service:?}");
}

#[cfg(debug_assertions)]
#[test]
fn killed_at_each_step_on_sqlite() {
    let (_folder, mut server) = on_sqlite();
    killed_at(&mut server, &Step::OF_REKEY);
}

#[cfg(debug_assertions)]
#[test]
fn killed_beside_the_commit_on_postgres() {
    let (_folder, mut server) = on_postgres();
    let beside = [Step::RekeyCommitted, Step::RekeyWritten];
    killed_at(&mut server, if size(1, 2) == 1 { &beside } else { &Step::OF_REKEY });
}
