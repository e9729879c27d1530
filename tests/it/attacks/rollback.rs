//! The whole database put back to an earlier copy: refused by who starts, noticed by who runs, accepted by `bulla restore` alone.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bulla_test_support::node::Node;
use bulla_test_support::postgres::PostgresCluster;
use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;
use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};

use crate::{BULLA, create, database, on_sqlite, restart_ahead, time_ahead, until};

/// How long a node may take to notice, on a machine that does other things as well; what it took is printed.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// A consistent copy, as a backup makes it.
fn copy(server: &Server, to: &Path) {
    let _ = std::fs::remove_file(to);
    database(server).batch_execute(&format!("VACUUM INTO '{}'", to.display())).expect("a copy");
}

/// Puts a copy in the place of the database, which nobody has open.
fn put_back(server: &Server, copy: &Path) {
    let file = server.data().join("bulla.db");
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(file.with_file_name(format!("bulla.db{end}")));
    }
    std::fs::copy(copy, &file).expect("copied");
}

/// A connection to the database, which the service has open, with a copy of it attached as `copy`.
fn beside(server: &Server, copy: &Path) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(server.data().join("bulla.db").to_str().expect("UTF-8")).expect("a database");
    conn.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = OFF").expect("settings");
    conn.batch_execute(&format!("ATTACH '{}' AS copy", copy.display())).expect("attached");
    conn
}

/// Makes every table that of a copy, while the service has the database open; with a row among the heads of logs that nobody wrote, which blinds
/// nobody.
fn put_back_beside(server: &Server, copy: &Path) {
    let mut conn = beside(server, copy);
    let names: Vec<Name> =
        sql_query("SELECT name FROM copy.sqlite_schema WHERE type = 'table'").load(&mut conn).expect("names");
    let each = |name: &Name| format!("DELETE FROM main.{0}; INSERT INTO main.{0} SELECT * FROM copy.{0};", name.name);
    let all: String = names.iter().map(each).collect();
    let rubbish =
        "randomblob(16), 'audit', 'x', 1, randomblob(16), 1, randomblob(32), 1, 1, 1, randomblob(32), 1, randomblob(17)";
    let all = format!("BEGIN IMMEDIATE; {all} INSERT INTO main.log_heads VALUES ({rubbish}); COMMIT");
    conn.batch_execute(&all).expect("put back");
}

fn copies(server: &Server, folder: &Path, count: usize) -> Vec<PathBuf> {
    let client = server.client();
    let make = |n: usize| {
        create(&client, &format!("s{n}"), "value").ok();
        let to = folder.join(format!("copy-{n}.db"));
        copy(server, &to);
        create(&client, &format!("t{n}"), "behind the copy").ok();
        to
    };
    (0..count).map(make).collect()
}

#[test]
fn every_earlier_copy_is_refused_at_start_until_it_is_accepted() {
    let (folder, mut server) = on_sqlite();
    let copies = copies(&server, folder.path(), 50);
    // Killed: what was acknowledged in the last second stands in the log alone.
    server.kill();
    let now = folder.path().join("now.db");
    copy(&server, &now);
    for earlier in &copies {
        put_back(&server, earlier);
        let told = server.log().len();
        assert!(server.try_restart().is_err(), "{} was taken for the database of now", earlier.display());
        let said = server.log()[told..].to_owned();
        assert!(said.contains("older") && said.contains("bulla restore"), "{}: {said}", earlier.display());
    }
    // The one of now is no earlier one.
    put_back(&server, &now);
    server.restart();
    server.client().call("GetSecretValue", &[("SecretName", "t49")]).ok();
    server.stop();
    crate::verify_audit(&server);

    // The honest way: it is shown, then accepted, and recorded.
    put_back(&server, &copies[20]);
    let (backup, inventory) = (folder.path().join("backup"), folder.path().join("inventory"));
    let (backup, inventory) = (backup.to_str().expect("UTF-8"), inventory.to_str().expect("UTF-8"));
    for command in
        [&["check"][..], &["verify"], &["user", "list"], &["backup", "--to", backup], &["inventory", "--to", inventory]]
    {
        let (code, said) = said(&server, command);
        assert!(code == Some(1) && said.contains("the database is older than the log"), "{command:?}: {said}");
    }
    assert!(!Path::new(backup).exists() && !Path::new(inventory).exists());
    let shown = server.admin(&["restore"]);
    assert_eq!(shown["Accepted"], false, "{shown}");
    assert!(shown["LastWriteInDatabase"].as_str() < shown["LastWriteInLog"].as_str(), "{shown}");
    assert!(server.try_restart().is_err(), "shown is not accepted");
    let accepted = server.admin(&["restore", "--accept"]);
    assert_eq!(accepted["Accepted"], true, "{accepted}");
    server.restart();
    let client = server.client();
    client.call("GetSecretValue", &[("SecretName", "s20")]).ok();
    assert_eq!(client.call("GetSecretValue", &[("SecretName", "t20")]).status, 404);
    create(&client, "after", "value").ok();
    server.stop();
    let admin = std::fs::read_to_string(server.data().join("audit/admin.jsonl")).expect("the log of commands");
    assert!(admin.contains("\"action\":\"AcceptDatabase\""), "{admin}");
    // What was accepted once is no reason to accept a copy from before.
    put_back(&server, &copies[30]);
    assert!(server.try_restart().is_err());
}

#[test]
fn a_running_node_notices_within_a_second_and_serves_nothing() {
    let (folder, mut server) = on_sqlite();
    let node = Node::start(BULLA, &server, "second");
    let copies = copies(&server, folder.path(), 50);
    server.stop();
    let (client, now) = (node.client(), folder.path().join("now.db"));
    let mut slowest = Duration::ZERO;
    let reads = || client.call("GetSecretValue", &[("SecretName", "s0")]).status;
    for earlier in copies.iter().step_by(if size(0, 1) == 1 { 1 } else { 10 }) {
        assert_eq!(reads(), 200);
        // What the node has yet to write it writes now.
        std::thread::sleep(Duration::from_millis(2500));
        copy(&server, &now);
        put_back_beside(&server, earlier);
        let begun = Instant::now();
        while reads() == 200 {
            assert!(begun.elapsed() < PATIENCE, "not noticed: {}", earlier.display());
            std::thread::sleep(Duration::from_millis(20));
        }
        slowest = slowest.max(begun.elapsed());
        assert_eq!(reads(), 500);
        // As it was: served again, with nobody's help.
        put_back_beside(&server, &now);
        let begun = Instant::now();
        while reads() != 200 {
            assert!(begun.elapsed() < PATIENCE, "not served again; its log:\n{}", node.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    eprintln!("noticed after {slowest:?} at most");
    assert!(node.log().contains("ALARM the database was put back to an earlier state"), "{}", node.log());
    // Another file in its place, which the node's connections do not see.
    let file = server.data().join("bulla.db");
    std::fs::copy(&copies[0], folder.path().join("other.db")).expect("copied");
    std::fs::rename(folder.path().join("other.db"), &file).expect("replaced");
    let begun = Instant::now();
    while reads() == 200 {
        assert!(begun.elapsed() < PATIENCE, "not noticed: another file");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A fresh server on a fresh database of PostgreSQL, and its URL.
fn postgres() -> (tempfile::TempDir, Server, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = PostgresCluster::shared().database();
    let server = Server::dev(BULLA, folder.path().join("data"), Some(&url));
    (folder, server, url)
}

/// A copy of every table, of a database of PostgreSQL that is in use.
fn keep(url: &str) {
    let each = "EXECUTE format('CREATE TABLE kept.%I AS TABLE public.%I', name, name)";
    on_each_table(url, "DROP SCHEMA IF EXISTS kept CASCADE; CREATE SCHEMA kept;", each, &[]);
}

/// Puts the tables back to that copy, but for some.
fn put_back_kept(url: &str, but: &[&str]) {
    let each = "EXECUTE format('DELETE FROM public.%I', name); EXECUTE format('INSERT INTO public.%I SELECT * FROM kept.%I', name, name)";
    // As an owner does who wants no foreign key in his way.
    on_each_table(url, "SET LOCAL session_replication_role = replica;", each, but);
}

fn on_each_table(url: &str, first: &str, each: &str, but: &[&str]) {
    let but: String = but.iter().map(|name| format!(" AND tablename <> '{name}'")).collect();
    let names = format!("SELECT tablename FROM pg_tables WHERE schemaname = 'public'{but}");
    let all = format!("DO $$ DECLARE name text; BEGIN FOR name IN {names} LOOP {each}; END LOOP; END $$");
    PostgresCluster::shared().sql(url, &format!("BEGIN; {first} {all}; COMMIT"));
}

#[test]
fn a_whole_database_of_postgres_is_refused_at_start_and_noticed_by_a_running_node() {
    let (_folder, mut server, url) = postgres();
    let client = server.client();
    create(&client, "before", "value").ok();
    keep(&url);
    create(&client, "after", "value").ok();
    client.call("DeleteSecret", &[("SecretName", "before"), ("ForceDeleteWithoutRecovery", "true")]).ok();
    server.kill();
    put_back_kept(&url, &[]);
    let told = server.log().len();
    assert!(server.try_restart().is_err(), "an earlier database was taken for that of now");
    let said = server.log()[told..].to_owned();
    assert!(said.contains("older") && said.contains("bulla restore"), "{said}");
    assert_eq!(server.admin(&["restore", "--accept"])["Accepted"], true);
    server.restart();
    let node = Node::start(BULLA, &server, "second");
    let reads = || node.client().call("GetSecretValue", &[("SecretName", "before")]).status;
    assert_eq!(reads(), 200);
    create(&server.client(), "after", "value").ok();
    // Both nodes have written how far they are, and go on.
    std::thread::sleep(Duration::from_millis(2500));
    keep(&url);
    create(&server.client(), "later", "value").ok();
    std::thread::sleep(Duration::from_millis(2500));
    put_back_kept(&url, &[]);
    until(PATIENCE * 6, "the running node notices", || reads() == 500);
    assert!(node.log().contains("ALARM the database was put back to an earlier state"), "{}", node.log());
}

/// Rows are put back with the digests that count them, while no node runs; what the logs know is as it was left.
#[test]
fn rows_that_are_put_back_with_their_digests_are_refused_at_start() {
    let (_folder, mut server, url) = postgres();
    let client = server.client();
    create(&client, "s", "old").ok();
    keep(&url);
    let put = [("SecretName", "s"), ("VersionId", "v2"), ("SecretData", "new")];
    client.call("PutSecretValue", &put).ok();
    server.stop();
    put_back_kept(&url, &["log_heads", "anchors", "nodes", "nonces", "leases"]);
    // With rows among the digests that nobody wrote, which blind nobody.
    let strange = "INSERT INTO parts VALUES (300, 1, '\\x00', '\\x0100'); INSERT INTO scopes VALUES ('\\x6100', 1000000, '\\x00', '\\x0100')";
    PostgresCluster::shared().sql(&url, strange);
    let told = server.log().len();
    assert!(server.try_restart().is_err(), "the old value was taken for that of now");
    let said = server.log()[told..].to_owned();
    assert!(
        said.contains("rows of the database were put back to an earlier state") && said.contains("bulla restore"),
        "{said}"
    );
    // Whoever puts the rows of the logs back as well meets the logs.
    put_back_kept(&url, &[]);
    assert!(server.try_restart().is_err());
    assert_eq!(server.admin(&["restore", "--accept"])["Accepted"], true);
    server.restart();
    server.client().call("GetSecretValue", &[("SecretName", "s")]).ok();
}

/// Puts these tables back to what they are now, again and again while something is done.
fn while_they_are_put_back<T>(server: &Server, folder: &Path, tables: &[&str], act: impl FnOnce() -> T) -> T {
    let before = folder.join("before.db");
    copy(server, &before);
    let mut conn = beside(server, &before);
    let each = |table| format!("DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM copy.{table};");
    let put_back = format!("BEGIN IMMEDIATE; {} COMMIT", tables.iter().map(each).collect::<String>());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                conn.batch_execute(&put_back).expect("put back");
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let done = Undone(&done);
        let result = act();
        drop(done);
        result
    })
}

/// Ends the putting back, also where something panics meanwhile.
struct Undone<'a>(&'a AtomicBool);

impl Drop for Undone<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a command has changed is put back at once, for as long as the command looks and longer.
#[test]
fn a_command_whose_change_is_put_back_does_not_say_success_and_nodes_learn_of_it() {
    let (folder, mut server) = on_sqlite();
    create(&server.client(), "s", "value").ok();
    server.admin(&["user", "create", "leaver"]);
    let key = server.admin(&["access-key", "create", "--user", "leaver"]);
    let key = key["AccessKeyId"].as_str().expect("an id");
    while_they_are_put_back(&server, folder.path(), &["access_keys", "scopes"], || {
        let mut command = std::process::Command::new(BULLA);
        let output = command.args(["access-key", "disable", key, "--data"]).arg(server.data()).output();
        let output = output.expect("the program is there");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("the change was made, and the database put back behind it"), "{said}");
    });
    // The node has not seen the change itself, and does not go on as if it had never been made.
    let client = server.client();
    let read = || client.call("GetSecretValue", &[("SecretName", "s")]).status;
    until(PATIENCE, "the running node refuses", || read() == 500);
    let admin = std::fs::read_to_string(server.data().join("audit/admin.jsonl")).expect("the log of commands");
    assert!(admin.contains("\"code\":\"Undone\""), "{admin}");
    server.kill();
}

/// A write through one node, undone before the other has seen it: the row of the first one's log tells the other.
#[test]
fn a_right_that_is_put_back_behind_one_node_stops_the_other_too() {
    let (folder, server) = on_sqlite();
    let (client, node) = (server.client(), Node::start(BULLA, &server, "second"));
    create(&client, "shared", "value").ok();
    let reads = || node.client().call("GetSecretValue", &[("SecretName", "shared")]).status;
    assert_eq!(reads(), 200);
    let account = &server.ready.account_id;
    let deny = format!(
        r#"{{"Version":"1","Statement":[{{"Effect":"Deny","Principal":{{"RAM":["acs:ram::{account}:*"]}},"Action":["kms:*"],"Resource":["*"]}}]}}"#
    );
    while_they_are_put_back(&server, folder.path(), &["resource_policies", "scopes"], || {
        client.call("SetSecretPolicy", &[("SecretName", "shared"), ("Policy", &deny)]).ok();
        let begun = Instant::now();
        while reads() == 200 {
            assert!(begun.elapsed() < PATIENCE, "the second node goes on; the log of the first one:\n{}", server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("the second node refuses after {:?}", begun.elapsed());
    });
    until(PATIENCE, "an alarm of each", || server.log().contains("ALARM") && node.log().contains("ALARM"));
}

/// Of all that the database says of logs one row is put back: its node misses what it wrote, and the other one what it saw.
#[test]
fn the_row_of_a_log_that_is_put_back_stops_each_node_for_a_reason_of_its_own() {
    let (folder, server) = on_sqlite();
    let node = Node::start(BULLA, &server, "second");
    let kept = folder.path().join("kept.db");
    for name in ["before", "behind"] {
        if name == "behind" {
            copy(&server, &kept);
        }
        create(&server.client(), name, "value").ok();
        // What the node has yet to write it writes now.
        std::thread::sleep(Duration::from_millis(2500));
    }
    // The second node's folder is audit-second.
    let row = "log_heads WHERE log = 'audit' AND place LIKE '%/audit'";
    let put_back =
        format!("BEGIN IMMEDIATE; DELETE FROM main.{row}; INSERT INTO main.log_heads SELECT * FROM copy.{row}; COMMIT");
    beside(&server, &kept).batch_execute(&put_back).expect("put back");
    for client in [server.client(), node.client()] {
        let reads = || client.call("GetSecretValue", &[("SecretName", "before")]).status;
        until(PATIENCE, "a node refuses", || reads() == 500);
    }
    assert!(server.log().contains("this node's row is not as this node left it"), "{}", server.log());
    assert!(node.log().contains("is older than it was before"), "{}", node.log());
}

/// Database and both logs are put back to one moment, and no node runs: the key on the token was made anew since.
#[test]
fn what_is_older_than_the_key_on_the_token_is_refused() {
    let (folder, mut server) = on_sqlite();
    create(&server.client(), "s0", "value").ok();
    // The key that `bulla init` made is named, and goes once another has taken its place.
    let hour = 3_700;
    assert_eq!(named(&server), 1);
    server.stop();
    let before = folder.path().join("before");
    copy_all(server.data(), &before);
    restart_ahead(&mut server, hour);
    until(Duration::from_secs(60), "the next one", || named(&server) == 2);
    server.stop();
    restart_ahead(&mut server, hour + 600);
    until(Duration::from_secs(60), "the first is destroyed", || named(&server) == 1);
    server.stop();
    // Everything as it was but for the token.
    for part in ["bulla.db", "audit"] {
        let now = server.data().join(part);
        let _ = std::fs::remove_dir_all(&now).or_else(|_| std::fs::remove_file(&now));
        let copied = std::process::Command::new("cp").arg("-a").arg(before.join(part)).arg(&now).status().expect("cp");
        assert!(copied.success());
    }
    let told = server.log().len();
    assert!(server.try_restart().is_err(), "taken for the present");
    assert!(server.log()[told..].contains("older than the key on the token"), "{}", &server.log()[told..]);
    // Nor does it help to take away what names that key.
    database(&server).batch_execute("DELETE FROM anchors").expect("deleted");
    refused_without_anchors(&mut server);
    assert_eq!(server.admin(&["restore", "--accept"])["Accepted"], true);
    server.restart();
    server
        .client()
        .request("GetSecretValue", &[("SecretName", "s0"), ("Timestamp", &time_ahead(hour + 600))])
        .send()
        .expect("an answer");
}

/// Exit code and words of a command.
fn said(server: &Server, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(BULLA);
    let output = command.args(arguments).arg("--data").arg(server.data()).output().expect("the program is there");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// A start is refused with an alarm that says the way back.
fn refused_without_anchors(server: &mut Server) {
    let told = server.log().len();
    assert!(server.try_restart().is_err(), "a database that does not say how old it is was believed");
    let said = server.log()[told..].to_owned();
    assert!(said.contains("ALARM database: a row of anchors does not verify") && said.contains("bulla restore"), "{said}");
}

/// The row that names the key on the token is deleted, or is none of ours, in a database that is otherwise the present one.
fn what_does_not_say_how_old_it_is_is_refused_until_it_is_accepted(server: &mut Server, sql: impl Fn(&str)) {
    create(&server.client(), "s", "value").ok();
    for harm in ["DELETE FROM anchors", "UPDATE anchors SET key_since = 0", "UPDATE anchors SET id = 2"] {
        server.stop();
        sql(harm);
        refused_without_anchors(server);
        for command in [&["check"][..], &["verify"], &["user", "list"]] {
            let (code, said) = said(server, command);
            assert!(code == Some(1) && said.contains("a row of anchors does not verify"), "{harm}: {command:?}: {said}");
            assert!(command == ["verify"] || said.contains("bulla restore"), "{harm}: {command:?}: {said}");
        }
        let shown = server.admin(&["restore"]);
        assert_eq!((&shown["Accepted"], &shown["AgeKnown"]), (&false.into(), &false.into()), "{harm}: {shown}");
        assert!(server.try_restart().is_err(), "{harm}: shown is not accepted");
        assert_eq!(server.admin(&["restore", "--accept"])["Accepted"], true, "{harm}");
        server.restart();
        server.client().call("GetSecretValue", &[("SecretName", "s")]).ok();
        assert_eq!(server.admin(&["verify"])["FlawCount"], 0, "{harm}");
    }
    // A node that runs goes on with nothing either.
    sql("DELETE FROM anchors");
    until(PATIENCE, "the running node refuses", || {
        server.client().call("GetSecretValue", &[("SecretName", "s")]).status == 500
    });
}

#[test]
fn who_deletes_the_row_of_anchors_is_refused_on_sqlite() {
    let (_folder, mut server) = on_sqlite();
    let file = server.data().join("bulla.db");
    what_does_not_say_how_old_it_is_is_refused_until_it_is_accepted(&mut server, |sql| {
        let mut conn = SqliteConnection::establish(file.to_str().expect("UTF-8")).expect("a database");
        conn.batch_execute(&format!("PRAGMA busy_timeout = 5000; {sql}")).expect("done");
    });
}

#[test]
fn who_deletes_the_row_of_anchors_is_refused_on_postgres() {
    let (_folder, mut server, url) = postgres();
    what_does_not_say_how_old_it_is_is_refused_until_it_is_accepted(&mut server, |sql| {
        PostgresCluster::shared().sql(&url, sql);
    });
}

/// How many keys of this kind the database names.
fn named(server: &Server) -> i64 {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = BigInt)]
        found: i64,
    }
    let query = "SELECT COALESCE(SUM(1 + (previous_key IS NOT NULL)), 0) AS found FROM anchors";
    sql_query(query).get_result::<Found>(&mut database(server)).expect("a number").found
}

fn copy_all(from: &Path, to: &Path) {
    assert!(std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp").success());
}
