//! Against real servers of each engine that Debian has.

use std::path::Path;

use bulla_test_support::mariadb::MariaDb;
use bulla_test_support::postgres::PostgresCluster;

use super::*;

/// What MySQL and PostgreSQL must be told to take as text.
const AWKWARD: &str = r#"it's a \ "quoted" $pass'word --;"#;

/// The accounts of a MariaDB.
const MARIADB: &str = "CREATE USER bulla_rotation@'%' IDENTIFIED BY 'admin';\nGRANT CREATE USER ON *.* TO bulla_rotation@'%';\n\
                       CREATE USER `app.one`@'%' IDENTIFIED BY 'first one';\n";

fn password(text: &str) -> AccountPassword {
    AccountPassword::new(text.to_owned()).expect("a password")
}

fn server(engine: Engine, port: u16, folder: &Path, administrator_password: &str) -> Server {
    let password_file = folder.join("password");
    std::fs::write(&password_file, format!("{administrator_password}\n")).expect("writable");
    Server::new(ServerOptions {
        engine,
        host: "127.0.0.1".into(),
        port,
        database: "postgres".into(),
        administrator: "bulla_rotation".into(),
        password_file,
        tls: Tls::Off,
        account_host: "%".into(),
        accounts: Vec::new(),
    })
}

/// A password works once it is set, and the one before does not.
fn takes_passwords(server: &Server) {
    let account: AccountName = "app.one".parse().expect("a name");
    let first = password("first one");
    assert_eq!(server.accepts(&account, &first), Ok(true));
    for next in [password("of-~32_characters.made-up-~by_me"), password(AWKWARD)] {
        assert_eq!(server.accepts(&account, &next), Ok(false));
        server.set_password(&account, &next).expect("set");
        assert_eq!(server.accepts(&account, &next), Ok(true));
        assert_eq!(server.accepts(&account, &first), Ok(false));
    }
    let nobody: AccountName = "nobody@home".parse().expect("a name");
    assert_eq!(server.accepts(&nobody, &first), Ok(false));
    let refused = server.set_password(&nobody, &first);
    assert!(matches!(refused, Err(ServerError::Refused(_))), "{refused:?}");
}

/// Without an answer from the administrator nothing is said of an account.
fn an_administrator_is_needed(server: &Server) {
    std::fs::write(&server.options.password_file, "wrong").expect("writable");
    let account: AccountName = "app.one".parse().expect("a name");
    assert!(matches!(server.accepts(&account, &password("first one")), Err(ServerError::Unreachable(_))));
    assert!(matches!(server.set_password(&account, &password("x")), Err(ServerError::Unreachable(_))));
}

#[test]
fn postgresql() {
    let cluster = PostgresCluster::start_with_passwords().expect("PostgreSQL (apt-get install postgresql)");
    cluster.sql(
        "postgres",
        "CREATE ROLE bulla_rotation LOGIN CREATEROLE PASSWORD 'admin'; CREATE ROLE \"app.one\" LOGIN PASSWORD 'first one'",
    );
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(Engine::Postgres, cluster.port(), folder.path(), "admin");
    takes_passwords(&server);
    let kept = cluster.sql("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'app.one'");
    assert!(kept.starts_with("SCRAM-SHA-256$4096:"), "{kept}");
    an_administrator_is_needed(&server);
}

#[test]
fn mariadb() {
    let database = MariaDb::start(MARIADB).expect("MariaDB (apt-get install mariadb-server-core mariadb-client-core)");
    let folder = tempfile::tempdir().expect("a folder");
    let by_hash = server(Engine::MariaDb, database.port(), folder.path(), "admin");
    takes_passwords(&by_hash);
    let seen = database.statements();
    assert!(seen.contains("IDENTIFIED BY PASSWORD '*") && !seen.contains(AWKWARD) && !seen.contains("pass\\'word"), "{seen}");
    // MariaDB takes the statement for MySQL too.
    let account: AccountName = "app.one".parse().expect("a name");
    by_hash.set_password(&account, &password("first one")).expect("set");
    takes_passwords(&server(Engine::MySql, database.port(), folder.path(), "admin"));
    an_administrator_is_needed(&by_hash);
}

/// An authority, and what it signed for `localhost`: certificates and the key, in PEM.
fn certificate() -> (String, String, String) {
    let key = || rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
    let signer = key();
    let signed = authority.self_signed(&signer).expect("a certificate");
    let issuer = rcgen::Issuer::new(authority, signer);
    let (own, names) = (key(), vec!["localhost".to_owned()]);
    let server = rcgen::CertificateParams::new(names).expect("a name").signed_by(&own, &issuer).expect("a certificate");
    (signed.pem(), server.pem(), own.serialize_pem())
}

/// With TLS nothing is said to a server whose certificate is for another host, or of another authority.
fn only_the_right_server(plain: Server, authority: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writable");
        path
    };
    let (right, other) = (file("right", authority), file("other", &certificate().0));
    let account: AccountName = "app.one".parse().expect("a name");
    let with = |host: &str, tls: Tls| Server::new(ServerOptions { host: host.into(), tls, ..plain.options.clone() });
    let accepts = |server: Server| server.accepts(&account, &password("first one"));
    assert_eq!(accepts(with("localhost", Tls::Verified(right.clone()))), Ok(true));
    for (host, authority) in [("127.0.0.1", right), ("localhost", other), ("localhost", folder.path().join("none"))] {
        let answer = accepts(with(host, Tls::Verified(authority.clone())));
        assert!(matches!(answer, Err(ServerError::Unreachable(_))), "{host} {authority:?}: {answer:?}");
    }
}

#[test]
fn postgresql_over_tls() {
    let cluster = PostgresCluster::start_with_passwords().expect("PostgreSQL (apt-get install postgresql)");
    cluster.sql(
        "postgres",
        "CREATE ROLE bulla_rotation LOGIN CREATEROLE PASSWORD 'admin'; CREATE ROLE \"app.one\" LOGIN PASSWORD 'first one'",
    );
    let (authority, certificate, key) = certificate();
    cluster.offer_tls(&certificate, &key).expect("it starts again");
    let folder = tempfile::tempdir().expect("a folder");
    only_the_right_server(server(Engine::Postgres, cluster.port(), folder.path(), "admin"), &authority);
}

#[test]
fn mariadb_over_tls() {
    let (authority, certificate, key) = certificate();
    let database = MariaDb::start_with_tls(MARIADB, &certificate, &key)
        .expect("MariaDB (apt-get install mariadb-server-core mariadb-client-core)");
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(Engine::MariaDb, database.port(), folder.path(), "admin");
    let account: AccountName = "app.one".parse().expect("a name");
    assert!(matches!(server.accepts(&account, &password("first one")), Err(ServerError::Unreachable(_))), "TLS is needed");
    only_the_right_server(server, &authority);
}

#[test]
fn a_silent_server_holds_few_callers_and_none_for_long() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("bound").port();
    let folder = tempfile::tempdir().expect("a folder");
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let server = server(engine, port, folder.path(), "admin");
        let account: AccountName = "app".parse().expect("a name");
        let unreachable = server.set_password(&account, &password("x"));
        assert!(matches!(unreachable, Err(ServerError::Unreachable(_))), "{unreachable:?}");
    }
}

#[test]
fn a_server_is_for_those_whom_it_names() {
    let [ours, theirs] = [AccountId::random(), AccountId::random()];
    let folder = tempfile::tempdir().expect("a folder");
    let open = server(Engine::Postgres, 1, folder.path(), "admin").options;
    let closed = ServerOptions { accounts: vec![ours.clone()], ..open.clone() };
    let id = |text: &str| -> InstanceId { text.parse().expect("an id") };
    let servers = Servers::new([(id("open"), open), (id("closed"), closed)]);
    assert!(servers.find(&id("open"), &theirs).is_some() && servers.find(&id("closed"), &ours).is_some());
    assert!(servers.find(&id("closed"), &theirs).is_none() && servers.find(&id("none"), &ours).is_none());
}
