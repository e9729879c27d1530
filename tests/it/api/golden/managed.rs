//! A PostgreSQL for the managed secrets of transcripts.

use std::path::{Path, PathBuf};

use bulla_test_support::postgres::PostgresCluster;

/// The server, and the file of its administrator's password.
pub struct Managed {
    cluster: PostgresCluster,
    password_file: PathBuf,
}

/// Starts it.
pub fn start(home: &Path) -> Managed {
    let cluster = PostgresCluster::start_with_passwords().expect("PostgreSQL (apt-get install postgresql)");
    cluster.sql("postgres", "CREATE ROLE bulla_rotation LOGIN CREATEROLE PASSWORD 'admin'");
    let password_file = home.join("managed-password");
    std::fs::write(&password_file, "admin").expect("writable");
    Managed { cluster, password_file }
}

impl Managed {
    /// What makes it a server's DBInstanceId `pg`: an environment variable.
    pub fn setting(&self) -> (&'static str, String) {
        let instance = format!(
            "[{{id=\"pg\",engine=\"postgresql\",host=\"127.0.0.1\",port={},\
             administrator=\"bulla_rotation\",password_file=\"{}\",tls=false}}]",
            self.cluster.port(),
            self.password_file.display()
        );
        ("BULLA_ROTATION__INSTANCE", instance)
    }

    /// Makes the roles of these accounts.
    pub fn roles(&self, accounts: impl Iterator<Item = String>) {
        let role = |account: String| ["a", "b"].map(|name| format!("CREATE ROLE {name}_{account} LOGIN PASSWORD 'first';"));
        let statements: String = accounts.flat_map(role).collect();
        self.cluster.sql("postgres", &statements);
    }
}
