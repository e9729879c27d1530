//! Managed secrets against real database servers: what they serve logs in, whatever happens meanwhile.

mod kills;
mod life;
mod load;
mod schedule;

use std::time::Duration;

use bulla_test_support::client::{Answer, Client};
use bulla_test_support::postgres::PostgresCluster;
use bulla_test_support::server::Server;
use diesel::{Connection, PgConnection};

use crate::{BULLA, ahead, database, time_ahead, until};

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// A PostgreSQL that asks for passwords, with an administrator for the service and accounts `a`, `b` and `c`.
struct Managed {
    cluster: PostgresCluster,
    folder: tempfile::TempDir,
}

/// The password that an account has at first.
fn first_password(account: &str) -> String {
    format!("first of {account}")
}

impl Managed {
    fn start() -> Self {
        let cluster = PostgresCluster::start_with_passwords().expect("PostgreSQL (apt-get install postgresql)");
        cluster.sql("postgres", "CREATE ROLE bulla_rotation LOGIN CREATEROLE PASSWORD 'admin'");
        for account in ["a", "b", "c"] {
            cluster.sql("postgres", &format!("CREATE ROLE {account} LOGIN PASSWORD '{}'", first_password(account)));
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("password"), "admin\n").expect("writable");
        Self { cluster, folder }
    }

    /// The setting that names it `pg-1`, as an environment variable.
    fn setting(&self) -> (&'static str, String) {
        let file = self.folder.path().join("password");
        let instance = format!(
            "[{{id=\"pg-1\",engine=\"postgresql\",host=\"127.0.0.1\",port={},\
             administrator=\"bulla_rotation\",password_file=\"{}\",tls=false}}]",
            self.cluster.port(),
            file.display()
        );
        ("BULLA_ROTATION__INSTANCE", instance)
    }

    /// A service that knows it, on SQLite or on a database of the shared cluster.
    fn service(&self, database: Option<&str>) -> Server {
        let (name, value) = self.setting();
        Server::dev_with(BULLA, self.folder.path().join("data"), database, &[(name, &value)])
    }

    /// Whether the account that a secret serves logs in.
    fn logs_in(&self, served: &Answer) -> bool {
        let account = account(served);
        let conninfo = format!(
            "host=127.0.0.1 port={} dbname=postgres connect_timeout=20 user='{}' password='{}'",
            self.cluster.port(),
            account.0,
            account.1
        );
        PgConnection::establish(&conninfo).is_ok()
    }
}

/// Name and password in an answer of GetSecretValue.
fn account(served: &Answer) -> (String, String) {
    let value: serde_json::Value = serde_json::from_str(served.text("SecretData")).expect("JSON");
    let text = |member: &str| value[member].as_str().expect("a text").to_owned();
    (text("AccountName"), text("AccountPassword"))
}

fn read(client: &Client, name: &str) -> Answer {
    client.call("GetSecretValue", &[("SecretName", name), ("FetchExtendedConfig", "true")]).ok()
}

fn config(sub_type: &str, instance: &str) -> String {
    format!(r#"{{"SecretSubType":"{sub_type}","DBInstanceId":"{instance}","CustomData":{{"team":"x"}}}}"#)
}

/// SecretData of these accounts with the passwords that they have at first.
fn given(accounts: &[&str]) -> String {
    let accounts = accounts.iter().map(|a| format!(r#"{{"AccountName":"{a}","AccountPassword":"{}"}}"#, first_password(a)));
    format!(r#"{{"Accounts":[{}]}}"#, accounts.collect::<Vec<_>>().join(","))
}

/// Creates a managed secret over accounts that have their first passwords; one account is a SingleUser.
fn create(client: &Client, name: &str, instance: &str, accounts: &[&str], more: &[(&str, &str)]) -> Answer {
    let config = config(if accounts.len() == 1 { "SingleUser" } else { "DoubleUsers" }, instance);
    let data = given(accounts);
    let mut parameters = vec![("SecretName", name), ("VersionId", "v1"), ("SecretData", data.as_str())];
    parameters.extend([("SecretType", "Rds"), ("ExtendedConfig", config.as_str())]);
    parameters.extend(more);
    client.call("CreateSecret", &parameters)
}

fn rotate(client: &Client, name: &str, version: &str) -> Answer {
    client.call("RotateSecret", &[("SecretName", name), ("VersionId", version)])
}

/// Waits until something is so.
#[track_caller]
fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    until(PATIENCE, what, is_so);
}
