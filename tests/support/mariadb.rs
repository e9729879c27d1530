//! A throw-away MariaDB from Debian's package.
//!
//! Owns: making, starting and stopping the server. Must not know: what is done on it. Called by: tests.
//! As with PostgreSQL, neither server nor files outlive a test that is killed.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::postgres::{is_root, run_as, succeed, sweeper};
use crate::server::spawn;

/// Who runs the server when the tests run as root; Debian and Ubuntu have them.
const USER: &str = "nobody";
const GROUP: &str = "nogroup";
/// The longest the start may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server; stopped and removed when dropped.
pub struct MariaDb {
    folder: tempfile::TempDir,
    port: u16,
    server: Child,
    sweeper: Child,
}

impl MariaDb {
    /// Makes and starts a server, on which these statements have run, one a line.
    ///
    /// # Errors
    /// When the package is not installed, or a program of it fails.
    pub fn start(statements: &str) -> io::Result<Self> {
        Self::start_with(statements, None)
    }

    /// The same with a certificate and its key, both PEM, and no connection without TLS.
    ///
    /// # Errors
    /// As [`MariaDb::start`].
    pub fn start_with_tls(statements: &str, certificate: &str, key: &str) -> io::Result<Self> {
        Self::start_with(statements, Some((certificate, key)))
    }

    fn start_with(statements: &str, tls: Option<(&str, &str)>) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bulla-mariadb-").tempdir()?;
        let path = folder.path();
        let sweeper = sweeper(path)?;
        std::fs::write(path.join("init.sql"), statements)?;
        if let Some((certificate, key)) = tls {
            std::fs::write(path.join("server.crt"), certificate)?;
            std::fs::write(path.join("server.key"), key)?;
        }
        let data = path.join("data");
        std::fs::create_dir(&data)?;
        if is_root() {
            succeed(std::process::Command::new("chown").args(["-R", &format!("{USER}:{GROUP}")]).arg(path))?;
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        let mut install = run_as(USER, GROUP, Path::new("/usr/bin/mariadb-install-db"), &[]);
        install.args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"]);
        succeed(install.arg(format!("--datadir={}", data.display())))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = run_as(USER, GROUP, Path::new("/usr/sbin/mariadbd"), &["--pdeathsig", "KILL"]);
        command.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--general-log"]);
        for (option, file) in [("datadir", "data"), ("socket", "socket"), ("pid-file", "pid"), ("init-file", "init.sql")] {
            command.arg(format!("--{option}={}", path.join(file).display()));
        }
        command.arg(format!("--general-log-file={}", path.join("general.log").display())).arg(format!("--port={port}"));
        if tls.is_some() {
            command.arg("--require-secure-transport=ON");
            for (option, file) in [("ssl-cert", "server.crt"), ("ssl-key", "server.key")] {
                command.arg(format!("--{option}={}", path.join(file).display()));
            }
        }
        let log = std::fs::File::create(path.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let server = spawn(command)?;
        let mut started = Self { folder, port, server, sweeper };
        started.wait()?;
        Ok(started)
    }

    /// Until it accepts connections, which it does once the statements have run.
    fn wait(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if self.server.try_wait()?.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("the server did not start:\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The port that it listens on, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every statement that it was sent, as it logged them.
    pub fn statements(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join("general.log")).unwrap_or_default()).into_owned()
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = self.sweeper.kill();
        let _ = self.sweeper.wait();
    }
}
