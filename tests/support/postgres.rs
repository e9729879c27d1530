//! Throw-away PostgreSQL from Debian's package: one shared by a test process, and others with synchronous standbys.
//!
//! Owns: making, starting, stopping and restarting clusters, fresh databases in them, standbys and their promotion. Must not know:
//! the schema. Called by: tests. fsync stays on: it is what runs in production.
//!
//! The server runs in the foreground, as a child that the kernel ends when the thread that started it does (`setpriv --pdeathsig`);
//! that thread lives as long as the process. A second child removes the folder when its standard input ends, which it does with
//! the process. So even a killed test leaves neither server nor files behind.

use std::ffi::OsStr;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::server::spawn;

/// Where Debian and Ubuntu put the server's programs, one folder per version.
const PACKAGES: &str = "/usr/lib/postgresql";
/// Who runs the server when the tests run as root, which PostgreSQL refuses to be; the package makes this user.
const USER: &str = "postgres";
/// The longest a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running cluster; stopped and removed when dropped.
pub struct PostgresCluster {
    programs: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    server: Mutex<Option<Child>>,
    sweeper: Child,
    databases: AtomicU32,
}

impl PostgresCluster {
    /// The cluster of this process, started at the first call.
    ///
    /// # Panics
    /// When the package is not installed or the server does not start; the message says what to do.
    pub fn shared() -> &'static PostgresCluster {
        static SHARED: OnceLock<PostgresCluster> = OnceLock::new();
        SHARED.get_or_init(|| match PostgresCluster::start() {
            Ok(cluster) => cluster,
            Err(error) => panic!("no throw-away PostgreSQL (apt-get install postgresql): {error}"),
        })
    }

    /// Makes and starts a cluster that takes everybody for whom they say they are.
    ///
    /// # Errors
    /// When the package is not installed, or a program of it fails.
    pub fn start() -> io::Result<Self> {
        Self::start_with("trust")
    }

    /// Makes and starts a cluster that asks for passwords (SCRAM-SHA-256) over TCP; not [`PostgresCluster::sql`].
    ///
    /// # Errors
    /// As [`PostgresCluster::start`].
    pub fn start_with_passwords() -> io::Result<Self> {
        Self::start_with("scram-sha-256")
    }

    fn start_with(auth_host: &str) -> io::Result<Self> {
        let fill = |programs: &Path, data: &Path| {
            let mut initdb = as_user(&programs.join("initdb"), &[]);
            initdb.args(["--auth-local=trust", "--auth-host", auth_host, "--username=postgres", "--encoding=UTF8"]);
            initdb.args(["--no-locale", "--no-sync", "--pgdata"]);
            succeed(initdb.arg(data)).map(drop)
        };
        // A port that was free may be another test's before the server listens on it.
        Self::make(free_port()?, fill).or_else(|error| {
            if error.to_string().contains("Address already in use") { Self::make(free_port()?, fill) } else { Err(error) }
        })
    }

    /// Makes and starts a standby of this cluster on a port; from then on no write of this cluster is acknowledged before the
    /// standby has it.
    ///
    /// # Errors
    /// As [`PostgresCluster::start`].
    ///
    /// # Panics
    /// When the standby does not follow in time.
    pub fn standby(&self, port: u16) -> io::Result<Self> {
        let standby = Self::make(port, |programs, data| {
            let mut backup = as_user(&programs.join("pg_basebackup"), &[]);
            backup.args(["-U", "postgres", "-p", &self.port.to_string(), "-h"]).arg(self.folder.path());
            succeed(backup.args(["--checkpoint=fast", "--no-sync", "-X", "stream", "-R", "-D"]).arg(data)).map(drop)
        })?;
        self.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.sql("postgres", "SELECT pg_reload_conf()");
        let deadline = Instant::now() + PATIENCE;
        while self.sql("postgres", "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") != "1" {
            assert!(Instant::now() < deadline, "the standby does not follow");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(standby)
    }

    /// Makes a standby the primary; it waits for no standby of its own.
    ///
    /// # Errors
    /// When it does not become one in time.
    pub fn promote(&self) -> io::Result<()> {
        let mut promote = as_user(&self.programs.join("pg_ctl"), &[]);
        succeed(promote.args(["promote", "--wait", "--pgdata"]).arg(self.folder.path().join("data"))).map(drop)
    }

    fn make(port: u16, fill: impl FnOnce(&Path, &Path) -> io::Result<()>) -> io::Result<Self> {
        let programs = newest(Path::new(PACKAGES))?;
        let folder = tempfile::Builder::new().prefix("bulla-postgres-").tempdir()?;
        let sweeper = sweeper(folder.path())?;
        if is_root() {
            succeed(Command::new("chown").arg(USER).arg(folder.path()))?;
        }
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))?;
        fill(&programs, &folder.path().join("data"))?;
        let cluster = Self { programs, folder, port, server: Mutex::new(None), sweeper, databases: AtomicU32::new(0) };
        cluster.resume(&[])?;
        Ok(cluster)
    }

    /// Restarts the server with a certificate and its key, both PEM, for those who ask for TLS.
    ///
    /// # Errors
    /// When it does not take them.
    pub fn offer_tls(&self, certificate: &str, key: &str) -> io::Result<()> {
        self.halt();
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let file = self.folder.path().join("data").join(name);
            std::fs::write(&file, text)?;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
            if is_root() {
                succeed(Command::new("chown").arg(USER).arg(&file))?;
            }
        }
        self.resume(&["ssl=on"])
    }

    /// The socket it listens on, in a folder that root may enter.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(format!(".s.PGSQL.{}", self.port))
    }

    /// The port it listens on, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the server has logged since it was last started.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The URL of a fresh, empty database, over loopback TCP.
    ///
    /// # Panics
    /// When the server does not make one.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// Runs statements with psql, in a database or a URL of one; answers what it prints, unaligned and without headers.
    ///
    /// # Panics
    /// When a statement fails.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let mut psql = as_user(&self.programs.join("psql"), &[]);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"]);
        psql.arg(self.folder.path()).args(["-p", &self.port.to_string(), "-d", database, "-c", statements]);
        match succeed(&mut psql) {
            Ok(printed) => printed,
            Err(error) => panic!("psql: {error}"),
        }
    }

    /// Kills the server as kill -9 does.
    pub fn kill(&self) {
        if let Some(mut server) = self.slot().take() {
            // Both fail only for a child that has ended.
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Stops the server at once, connections and all; the data stays.
    pub fn halt(&self) {
        if let Some(mut server) = self.slot().take() {
            let (programs, data) = (&self.programs, self.folder.path().join("data"));
            let mut stop = as_user(&programs.join("pg_ctl"), &[]);
            let stopped = succeed(stop.args(["stop", "--mode=fast", "--pgdata"]).arg(data));
            if stopped.is_err() {
                // The server may be gone already; if it is not, this ends it.
                let _ = server.kill();
            }
            let _ = server.wait();
        }
    }

    /// Starts the server again, with these settings (`name=value`) besides the usual ones.
    ///
    /// # Errors
    /// When it does not accept connections in time.
    pub fn resume(&self, settings: &[&str]) -> io::Result<()> {
        let folder = self.folder.path();
        let mut command = as_user(&self.programs.join("postgres"), &["--pdeathsig", "QUIT"]);
        command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-c", "max_connections=200"]);
        for setting in settings {
            command.args(["-c", setting]);
        }
        let log = std::fs::File::create(folder.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = spawn(command)?;
        let deadline = Instant::now() + PATIENCE;
        let mut ready = as_user(&self.programs.join("pg_isready"), &[]);
        ready.arg("-h").arg(folder).args(["-p", &self.port.to_string(), "-q"]);
        while !ready.status()?.success() {
            let ended = child.try_wait()?.is_some();
            if ended || Instant::now() > deadline {
                let _ = child.kill();
                let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("the server did not start:\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        *self.slot() = Some(child);
        Ok(())
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for PostgresCluster {
    fn drop(&mut self) {
        self.halt();
        // The folder goes with its owner.
        let _ = self.sweeper.kill();
        let _ = self.sweeper.wait();
    }
}

/// A child that outlives this process by as long as the server needs to end, and removes the folder.
pub(crate) fn sweeper(folder: &Path) -> io::Result<Child> {
    let script = "trap '' INT TERM HUP; read -r _; sleep 1; rm -rf \"$0\"";
    Command::new("sh")
        .args(["-c", script])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// A port that nothing listens on, below those that the system takes for connections to others: one of these could take it while whoever
/// listens there is away.
///
/// # Errors
/// Of the system.
pub fn free_port() -> io::Result<u16> {
    const TRIES: usize = 100;
    let mut any = (0..TRIES).map(|_| TcpListener::bind(("127.0.0.1", fastrand::u16(10_000..32_000))));
    let free = any.find(Result::is_ok).unwrap_or_else(|| TcpListener::bind("127.0.0.1:0"));
    Ok(free?.local_addr()?.port())
}

/// The programs of the newest version installed.
fn newest(packages: &Path) -> io::Result<PathBuf> {
    let versions = std::fs::read_dir(packages)?.filter_map(Result::ok);
    let number = |path: &Path| path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse::<u32>().ok());
    versions
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/postgres").exists())
        .max_by_key(|path| number(path))
        .map(|path| path.join("bin"))
        .ok_or_else(|| io::Error::other(format!("no server in {}", packages.display())))
}

pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// A program of the package, run by `setpriv` as a user that is not root, from a folder that the user may enter.
fn as_user(program: &Path, options: &[&str]) -> Command {
    run_as(USER, USER, program, options)
}

/// The same as another user and group.
pub(crate) fn run_as(user: &str, group: &str, program: &Path, options: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(options);
    if is_root() {
        command.args(["--reuid", user, "--regid", group, "--init-groups"]);
    }
    command.arg("--").arg(program).current_dir("/").env("LC_ALL", "C");
    command
}

/// Runs a program to its end; what it printed, or why it failed.
pub(crate) fn succeed(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}
