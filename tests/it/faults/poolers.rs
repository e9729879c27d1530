//! What stands between the service and the tables of PostgreSQL: a role with rights on rows only, another who migrates, a standby, a
//! password that changes, a pooler.

use std::process::{Command, Stdio};
use std::time::Duration;

use bulla_test_support::node::Node;
use bulla_test_support::postgres::{PostgresCluster, free_port};
use bulla_test_support::server::Server;

use crate::{BULLA, create, until};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_role_with_rights_on_rows_serves_and_a_changed_password_is_read_again() {
    let cluster = PostgresCluster::start_with_passwords().expect("PostgreSQL from the package");
    for statement in
        ["ALTER ROLE postgres PASSWORD 'first'", "CREATE DATABASE bulla", "CREATE ROLE service LOGIN PASSWORD 'one'"]
    {
        cluster.sql("postgres", statement);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = |role: &str, password: &str| format!("postgres://{role}:{password}@127.0.0.1:{}/bulla", cluster.port());
    let server = Server::dev(BULLA, folder.path().join("data"), Some(&url("postgres", "first")));
    create(&server.client(), "secret", "value").ok();
    cluster.sql(
        "bulla",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO service; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO service",
    );
    let file = folder.path().join("url");
    std::fs::write(&file, url("service", "one")).expect("a temporary folder");
    let config = server.data().join("bulla.toml");
    let text = std::fs::read_to_string(&config).expect("written by dev");
    let own: String = text
        .lines()
        .map(|line| match line.split_once('=').map(|(name, _)| name.trim()) {
            Some("url") => format!("url_file = \"{}\"\n", file.display()),
            Some("migrate_at_start") => "migrate_at_start = false\n".to_owned(),
            _ => format!("{line}\n"),
        })
        .collect();
    std::fs::write(&config, own).expect("our own file");
    let node = Node::start(BULLA, &server, "rows");
    let client = node.client();
    create(&client, "by-role", "value").ok();

    // What an administrator takes away and gives back is an outage, whose reason is said.
    cluster.sql("bulla", "REVOKE SELECT ON secrets FROM service");
    let refused = client.call("GetSecretValue", &[("SecretName", "by-role")]);
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true), "{refused:?}");
    assert!(node.log().contains("permission denied for table secrets"), "{}", node.log());
    cluster.sql("bulla", "GRANT SELECT ON secrets TO service");
    assert_eq!(client.call("GetSecretValue", &[("SecretName", "by-role")]).status, 200);

    // What a start does not need, and what is served after it does.
    cluster.sql("bulla", "REVOKE INSERT, UPDATE ON secrets, nonces FROM service");
    let check = Command::new(BULLA).args(["check", "--data"]).arg(server.data()).output().expect("the program is there");
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    let lacking = "the role lacks INSERT, UPDATE on nonces; INSERT, UPDATE on secrets";
    assert!(!check.status.success() && said.contains(lacking), "{said}");
    cluster.sql("bulla", "GRANT INSERT, UPDATE ON secrets, nonces TO service");

    cluster.sql("postgres", "ALTER ROLE service PASSWORD 'two'");
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'service'";
    cluster.sql("postgres", cut);
    until(PATIENCE, "the old password is refused, and readiness says so", || {
        let page = client.page("/readyz");
        page.status == 503 && page.text("database").contains("password authentication failed for user")
    });
    std::fs::write(&file, url("service", "two")).expect("a temporary folder");
    until(PATIENCE, "the new one is read", || client.page("/readyz").status == 200);
    create(&client, "after", "value").ok();
}

#[test]
fn migrations_wait_for_a_while_and_say_for_what() {
    let cluster = PostgresCluster::start().expect("PostgreSQL from the package");
    cluster.sql("postgres", "CREATE DATABASE bulla");
    let mut standby = None;
    std::thread::scope(|scope| {
        scope.spawn(|| cluster.sql("bulla", "SELECT pg_advisory_lock(422876834913), pg_sleep(14)"));
        std::thread::sleep(Duration::from_secs(1));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("bulla.toml");
        let url = format!("postgres://postgres@127.0.0.1:{}/bulla", cluster.port());
        let text = format!(
            "region = \"cn-hangzhou\"\n[token]\nmodule = \"/none.so\"\nlabel = \"x\"\npin_file = \"/none\"\n\
             [database]\nurl = \"{url}\"\n[audit]\ndirectory = \"{}\"\n",
            folder.path().display()
        );
        std::fs::write(&config, text).expect("a temporary folder");
        let migrate = || Command::new(BULLA).args(["migrate", "--config"]).arg(&config).stdin(Stdio::null()).output();
        let refused = migrate().expect("the program is there");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("holds a lock that they need"), "{said}");
        assert!(said.contains("waiting 10s for the lock of another who migrates, which the server's process"), "{said}");
        until(Duration::from_secs(30), "the lock is free again", || migrate().expect("the program is there").status.success());

        // A server that is only a standby is waited for, not written to.
        let port = free_port().expect("a port");
        standby = Some(cluster.standby(port).expect("a standby"));
        let text = std::fs::read_to_string(&config)
            .expect("our own")
            .replace(&url, &format!("postgres://postgres@127.0.0.1:{port}/bulla"));
        std::fs::write(&config, text).expect("a temporary folder");
        let refused = migrate().expect("the program is there");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("a standby, which takes no writes"), "{said}");
    });
}

/// A pooler of this kind in front of the server; its port.
fn pooler(folder: &std::path::Path, cluster: &PostgresCluster, mode: &str) -> Option<(std::process::Child, u16)> {
    let port = free_port().expect("a port");
    let ini = folder.join(format!("{mode}.ini"));
    // Of sessions every connection needs one; of transactions as many as are under way.
    let size = if mode == "session" { 40 } else { 4 };
    let text = format!(
        "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\nauth_type=any\n\
         pool_mode={mode}\ndefault_pool_size={size}\nunix_socket_dir=\nignore_startup_parameters=extra_float_digits\n",
        cluster.port()
    );
    let text = text.replace("* = host=127.0.0.1", "* = user=postgres host=127.0.0.1");
    std::fs::write(&ini, text).expect("a temporary folder");
    std::os::unix::fs::chown(folder, Some(65534), Some(65534)).ok()?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--", "pgbouncer"]);
    let child = command.arg(&ini).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = bulla_test_support::server::spawn(std::mem::replace(child, Command::new("true"))).ok()?;
    std::thread::sleep(Duration::from_millis(700));
    child.try_wait().ok()?.is_none().then_some((child, port))
}

#[test]
fn poolers_of_sessions_and_of_transactions_work_and_one_that_is_not_told_of_is_named() {
    let cluster = PostgresCluster::start().expect("PostgreSQL from the package");
    for (mode, told) in [("session", ""), ("transaction", ""), ("transaction", "?pooler=transaction")] {
        let database = format!("{mode}_{}", told.len());
        cluster.sql("postgres", &format!("CREATE DATABASE {database}"));
        let pool = tempfile::tempdir().expect("a temporary folder");
        let Some((mut child, port)) = pooler(pool.path(), &cluster, mode) else {
            eprintln!("SKIPPED: pgbouncer is not installed, or does not run here");
            return;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("postgres://postgres@127.0.0.1:{port}/{database}{told}");
        if (mode, told) == ("transaction", "") {
            let mut dev = Command::new("timeout");
            dev.args(["20", BULLA, "dev", "--listen", "127.0.0.1:0", "--database", &url, "--data"])
                .arg(folder.path().join("data"));
            let said = dev.stdin(Stdio::null()).stdout(Stdio::null()).output().expect("the program is there");
            let said = String::from_utf8_lossy(&said.stderr).into_owned();
            assert!(said.contains("add pooler=transaction to the database URL"), "{said}");
        } else {
            serves(&url, folder.path());
        }
        let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
        assert_eq!(cluster.sql("postgres", locks), "0", "no lock stays in a session of the pool");
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Two nodes with more connections than the pool has, all that they write read back, a restart, and the proof of the whole.
fn serves(url: &str, folder: &std::path::Path) {
    let mut server = Server::dev(BULLA, folder.join("data"), Some(url));
    let key = server.client().call("CreateKey", &[]);
    assert_eq!(key.status, 200, "{key:?}");
    let node = Node::start(BULLA, &server, "other");
    let (first, second) = (server.client(), node.client());
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (write, read) = if thread % 2 == 0 { (&first, &second) } else { (&second, &first) };
            scope.spawn(move || {
                for n in 0..8 {
                    let name = format!("s/{thread}/{n}");
                    create(write, &name, "one").ok();
                    let put = [("SecretName", name.as_str()), ("VersionId", "v2"), ("SecretData", "two")];
                    let put = read.call("PutSecretValue", &put);
                    assert_eq!(put.status, 200, "{put:?}");
                    let found = write.call("GetSecretValue", &[("SecretName", &name)]);
                    assert_eq!(found.text("SecretData"), "two", "{found:?}");
                }
            });
        }
    });
    drop(node);
    server.kill();
    server.restart();
    let found = server.client().call("GetSecretValue", &[("SecretName", "s/5/7")]);
    assert_eq!(found.text("SecretData"), "two", "{found:?}");
    // Fails where a row or a digest does not hold.
    server.admin(&["verify"]);
    server.stop();
}
