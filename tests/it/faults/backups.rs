//! Everything is lost but a backup and the token: what was acknowledged when the backup was made reads back.

use std::path::Path;
use std::process::{Command, Output};

use bulla_test_support::postgres::PostgresCluster;
use bulla_test_support::server::Server;
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};

use crate::api::import::{ALGORITHMS, import, key};
use crate::{BULLA, create, on_sqlite};

fn run(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(BULLA);
    command.args(arguments).arg("--data").arg(server.data()).arg("--json").output().expect("the program is there")
}

fn names(n: usize) -> impl Iterator<Item = String> {
    (0..n).map(|n| format!("app/{n}"))
}

fn reads(server: &Server, count: usize) {
    for name in names(count) {
        let read = server.client().call("GetSecretValue", &[("SecretName", &name)]).ok();
        assert_eq!(read.text("SecretData"), format!("value of {name}"));
    }
}

/// A journal that, beside the file of a backup, has SQLite put another description of each secret into it.
fn hot_journal(backup: &Path, folder: &Path) -> Vec<u8> {
    let other = folder.join("other.db");
    std::fs::copy(backup, &other).expect("copied");
    let mut conn = SqliteConnection::establish(other.to_str().expect("UTF-8")).expect("a database");
    let earlier = "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; UPDATE secrets SET description = 'evil'; \
                   BEGIN IMMEDIATE; UPDATE secrets SET description = ''";
    conn.batch_execute(earlier).expect("changed");
    std::fs::read(folder.join("other.db-journal")).expect("a journal")
}

/// Makes secrets, takes a backup beside more writes, loses all but backup and token, and restores.
fn lives_through_a_loss(server: &mut Server, folder: &Path, lose: impl Fn(&Server)) {
    let client = server.client();
    for name in names(20) {
        create(&client, &name, &format!("value of {name}")).ok();
    }
    let described = [("SecretName", "described"), ("VersionId", "v1"), ("SecretData", "x"), ("Description", "it's a\\")];
    client.call("CreateSecret", &described).ok();
    server.admin(&["user", "create", "ann"]);
    let backup = folder.join("backup");
    let to = backup.to_str().expect("UTF-8");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                create(&client, &format!("beside/{n}"), "it's a ' quote \\ and é").ok();
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
            }
        });
        let made = server.admin(&["backup", "--to", to]);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(made["Rows"].as_u64() > Some(60) && made["TokenObjects"].as_u64() >= Some(4), "{made}");
    });
    let drill = server.admin(&["backup", "verify", to]);
    assert_eq!((&drill["Complete"], &drill["KeyVersionsMissing"]), (&true.into(), &0.into()), "{drill}");
    create(&client, "later", "value").ok();
    server.stop();
    lose(server);
    std::fs::remove_dir_all(server.data().join("audit")).expect("removed");
    // What stands beside a file is not what was signed, nor is what belonged to the one that was lost.
    let (signed, journal) =
        (std::fs::read(backup.join("bulla.db")).expect("a backup"), hot_journal(&backup.join("bulla.db"), folder));
    for beside in [backup.join("bulla.db-journal"), server.data().join("bulla.db-journal")] {
        std::fs::write(beside, &journal).expect("written");
    }
    let shown = server.admin(&["restore", "--from", to]);
    assert_eq!(shown["Accepted"], false, "{shown}");
    assert!(shown["RowsVerified"].as_u64() > Some(60), "{shown}");
    let restored = server.admin(&["restore", "--from", to, "--accept"]);
    assert_eq!(restored["Accepted"], true, "{restored}");
    assert!(std::fs::read(backup.join("bulla.db")).expect("a backup") == signed, "the backup stays as it is");
    server.restart();
    reads(server, 20);
    let described = server.client().call("DescribeSecret", &[("SecretName", "described")]).ok();
    assert_eq!(described.text("Description"), "it's a\\");
    assert_eq!(server.client().call("GetSecretValue", &[("SecretName", "later")]).status, 404);
    let beside = server.client().call("GetSecretValue", &[("SecretName", "beside/0")]);
    assert!(beside.status == 404 || beside.text("SecretData") == "it's a ' quote \\ and é");
    create(&server.client(), "after", "value").ok();
    let proof = run(server, &["verify"]);
    assert!(proof.status.success(), "{}", String::from_utf8_lossy(&proof.stdout));
    server.stop();

    // A backup that was changed is none.
    let database = backup.join("bulla.db");
    let mut bytes = std::fs::read(&database).expect("a backup");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&database, bytes).expect("written");
    for command in [&["backup", "verify", to][..], &["restore", "--from", to, "--accept"]] {
        let refused = run(server, command);
        assert!(!refused.status.success(), "{command:?}: {}", String::from_utf8_lossy(&refused.stdout));
    }
}

#[test]
fn on_sqlite_everything_comes_back_from_backup_and_token() {
    let (folder, mut server) = on_sqlite();
    lives_through_a_loss(&mut server, folder.path(), |server| {
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(server.data().join(format!("bulla.db{end}")));
        }
    });
}

#[test]
fn on_postgres_everything_comes_back_from_backup_and_token() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cluster = PostgresCluster::shared();
    let url = cluster.database();
    let mut server = Server::dev(BULLA, folder.path().join("data"), Some(&url));
    let name = url.rsplit('/').next().and_then(|rest| rest.split('?').next()).expect("a name").to_owned();
    lives_through_a_loss(&mut server, folder.path(), |_| {
        cluster.sql(&name, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
        // Where a backslash ends no text by itself, unless the restoration says so.
        cluster.sql(&name, &format!("ALTER DATABASE \"{name}\" SET standard_conforming_strings = off"));
    });
}

/// What a restoration costs is told exactly: commands and requests since the backup, and nothing of before, however close to it.
#[test]
fn a_restoration_says_what_is_lost() {
    let (folder, mut server) = on_sqlite();
    let client = server.client();
    server.admin(&["user", "create", "ann"]);
    create(&client, "kept", "value").ok();
    server.admin(&["user", "create", "bob"]);
    let backup = folder.path().join("backup");
    let to = backup.to_str().expect("UTF-8");
    server.admin(&["backup", "--to", to]);
    server.admin(&["user", "disable", "ann"]);
    create(&client, "lost", "value").ok();
    server.stop();
    // Before it is accepted, and so that nothing has changed by then.
    let shown = server.admin(&["restore", "--from", to]);
    assert_eq!((&shown["Accepted"], &shown["ChangesLost"]), (&false.into(), &2.into()), "{shown}");
    let restored = server.admin(&["restore", "--from", to, "--accept"]);
    assert_eq!((&restored["Lost"], &restored["LastWriteInLog"]), (&shown["Lost"], &shown["LastWriteInLog"]), "{restored}");
    let lost: Vec<&str> = restored["Lost"].as_array().expect("a list").iter().filter_map(|line| line.as_str()).collect();
    assert_eq!(restored["ChangesLost"], 2, "{restored}");
    // The latest of both logs, whichever is read last.
    let latest = lost.iter().filter_map(|line| line.split(' ').next()).max();
    assert_eq!(restored["LastWriteInLog"].as_str(), latest, "{restored}");
    for told in ["ann", "CreateSecret"] {
        assert!(lost.iter().any(|line| line.contains(told)), "{told}: {lost:?}");
    }
}

/// A path that is misspelt names somebody else's file.
#[test]
fn what_is_no_database_is_not_touched() {
    use std::os::unix::fs::PermissionsExt;

    let (folder, mut server) = on_sqlite();
    server.stop();
    let (text, inside) = (folder.path().join("text"), folder.path().join("inside"));
    std::fs::write(&text, "not a database\n").expect("written");
    std::fs::create_dir(&inside).expect("made");
    for path in [&text, &inside] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("set");
        let mut command = Command::new(BULLA);
        command.args(["check", "--data"]).arg(server.data()).env("BULLA_DATABASE__URL", format!("sqlite:{}", path.display()));
        let found = command.output().expect("the program is there");
        assert!(!found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
        assert_eq!(std::fs::metadata(path).expect("there").permissions().mode() & 0o777, 0o755, "{}", path.display());
    }
    assert_eq!(std::fs::read_to_string(&text).expect("there"), "not a database\n");
}

/// The token's backup is older than the database's: the drill says which keys are missing, and which secrets hang on them.
#[test]
fn an_older_token_is_told_with_the_secrets_that_hang_on_it() {
    let (folder, mut server) = on_sqlite();
    create(&server.client(), "old", "value").ok();
    server.stop();
    let (tokens, older) = (server.data().join("tokens"), folder.path().join("older"));
    assert!(Command::new("cp").arg("-a").arg(&tokens).arg(&older).status().expect("cp").success());
    server.restart();
    let client = server.client();
    let key = client.call("CreateKey", &[]).ok();
    let key_id = key.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
    client.call("CreateAlias", &[("AliasName", "alias/late"), ("KeyId", &key_id)]).ok();
    for name in ["new/a", "new/b"] {
        let arguments = [("SecretName", name), ("VersionId", "v1"), ("SecretData", "x"), ("EncryptionKeyId", &key_id)];
        client.call("CreateSecret", &arguments).ok();
    }
    let backup = folder.path().join("backup");
    let to = backup.to_str().expect("UTF-8");
    server.admin(&["backup", "--to", to]);

    // The inventory, on the way: signed, and proved with nothing but the public key.
    let (file, pem) = (folder.path().join("inventory.json"), folder.path().join("aud.pem"));
    let (file, pem) = (file.to_str().expect("UTF-8"), pem.to_str().expect("UTF-8"));
    server.admin(&["inventory", "--to", file]);
    std::fs::write(pem, server.admin(&["audit", "public-key"])["PublicKey"].as_str().expect("a key")).expect("written");
    let offline = |file: &str| {
        Command::new(BULLA).args(["inventory", "verify", file, "--public-key", pem]).env_clear().output().expect("it runs")
    };
    assert!(offline(file).status.success(), "{}", String::from_utf8_lossy(&offline(file).stderr));
    let text = std::fs::read_to_string(file).expect("an inventory");
    let inventory: serde_json::Value = serde_json::from_str(text.lines().next().expect("two lines")).expect("JSON");
    let versions = inventory["KeyVersions"].as_array().expect("a list");
    let late = versions.iter().find(|version| version["KeyId"] == key_id.as_str()).expect("the key");
    assert_eq!(
        (&late["Secrets"], &late["Aliases"][0], &late["Origin"]),
        (&2.into(), &"alias/late".into(), &"Aliyun_KMS".into())
    );
    assert_eq!(late["Objects"][0]["CKA_EXTRACTABLE"], "false", "{late}");
    std::fs::write(file, text.replace("alias/late", "alias/lite")).expect("written");
    assert!(!offline(file).status.success(), "a changed inventory");

    server.stop();
    std::fs::remove_dir_all(&tokens).expect("removed");
    assert!(Command::new("cp").arg("-a").arg(&older).arg(&tokens).status().expect("cp").success());
    let drill = run(&server, &["backup", "verify", to]);
    let said: serde_json::Value = serde_json::from_slice(&drill.stdout).expect("JSON");
    assert!(!drill.status.success() && said["Complete"] == false, "{said}");
    let missing = said["Missing"][0].as_str().expect("a text");
    for part in [key_id.as_str(), "alias/late", "new/a", "new/b", "2 secrets"] {
        assert!(missing.contains(part), "{part}: {missing}");
    }
    assert_eq!((&said["KeyVersionsMissing"], &said["SecretVersionsLost"]), (&1.into(), &2.into()), "{said}");
}

/// The token is older than an import: a proof says so, whether or not it opens anything.
#[test]
fn imported_material_that_is_gone_is_a_flaw() {
    let (folder, mut server) = on_sqlite();
    server.stop();
    let (tokens, older) = (server.data().join("tokens"), folder.path().join("older"));
    assert!(Command::new("cp").arg("-a").arg(&tokens).arg(&older).status().expect("cp").success());
    server.restart();
    let client = server.client();
    let waits = key(&client);
    import(&client, &waits, ALGORITHMS[0], &[7; 32], "0").ok();
    server.stop();
    let verify = || run(&server, &["verify"]);
    let whole = verify();
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stdout));
    std::fs::remove_dir_all(&tokens).expect("removed");
    assert!(Command::new("cp").arg("-a").arg(&older).arg(&tokens).status().expect("cp").success());
    let lacking = verify();
    let said = String::from_utf8_lossy(&lacking.stdout).into_owned();
    assert!(!lacking.status.success() && said.contains("imported material of key version"), "{said}");
}
