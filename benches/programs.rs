//! The programs that are measured, as processes of their own.
//!
//! Owns: starting them, their requests, their size in memory and on disk. Must not know: how runs are put together.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bulla::token::softhsm;
use bulla_test_support::client::Client;
use bulla_test_support::server::{Server, bound_to_this_process, spawn, terminate};
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};

use crate::floor::Failure;
use crate::vault;

/// The value of every secret: what an application keeps for a database account.
pub const VALUE: &str = r#"{"user":"root","passwd":"0123456789abcdef"}"#;

/// The version that every secret begins with.
const VERSION: &str = "v1";

/// A program under measurement.
pub enum Program {
    /// The floor program and its address.
    Floor { child: Child, address: String },
    /// `bulla dev`.
    Bulla(Box<Server>),
    /// An OpenBao server with integrated storage and an audit file, and its root token.
    OpenBao { child: Child, address: String, token: String },
}

impl Program {
    /// Starts the floor program with a token and a database of its own.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn floor(folder: &Path, durable: bool) -> Result<Self, Failure> {
        Self::floor_with(folder, &[if durable { "durable" } else { "plain" }])
    }

    fn floor_with(folder: &Path, mode: &[&str]) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder)?;
        let conf = softhsm::prepare(folder)?;
        let mut command = bound_to_this_process(&std::env::current_exe()?);
        command.arg("floor").arg(folder).args(mode);
        command.env(softhsm::CONF_VARIABLE, conf).stdout(Stdio::piped());
        let mut child = spawn(command)?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().ok_or("its output is piped")?).read_line(&mut address)?;
        if address.is_empty() {
            return Err("the floor program did not start".into());
        }
        Ok(Self::Floor { child, address: address.trim().to_owned() })
    }

    /// The same on a database of PostgreSQL, with a record of each request on disk before its answer.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn floor_on_postgres(folder: &Path, url: &str) -> Result<Self, Failure> {
        Self::floor_with(folder, &["durable", url])
    }

    /// Starts `bulla dev` with everything as it is by default.
    pub fn bulla(folder: &Path) -> Self {
        Self::bulla_of(bulla(), folder)
    }

    /// The same of another build.
    pub fn bulla_of(program: impl AsRef<Path>, folder: &Path) -> Self {
        Self::Bulla(Box::new(Server::dev(program, folder, None)))
    }

    /// host:port.
    pub fn address(&self) -> &str {
        match self {
            Program::Floor { address, .. } | Program::OpenBao { address, .. } => address,
            Program::Bulla(server) => server.ready.endpoint.trim_start_matches("http://"),
        }
    }

    /// A client that signs requests, of Bulla.
    pub fn client(&self) -> Option<Client> {
        match self {
            Program::Floor { .. } | Program::OpenBao { .. } => None,
            Program::Bulla(server) => Some(server.client()),
        }
    }

    /// The request that makes a secret.
    pub fn create(&self, client: Option<&Client>, name: &str) -> Vec<u8> {
        if let Some(client) = client {
            let parameters = [("SecretName", name), ("VersionId", VERSION), ("SecretData", VALUE)];
            return client.request("CreateSecret", &parameters).in_body(&["SecretData"]).bytes();
        }
        match self {
            Program::OpenBao { address, token, .. } => {
                vault::request(address, token, "POST", &format!("secret/data/{name}"), &format!(r#"{{"data":{VALUE}}}"#))
            }
            _ => {
                let (address, length) = (self.address(), VALUE.len());
                format!("POST /create?name={name} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n\r\n{VALUE}")
                    .into_bytes()
            }
        }
    }

    /// The request that stores a further value: of Bulla a version of this name, of the floor program, which knows none, a value
    /// under the name of both.
    pub fn put(&self, client: Option<&Client>, name: &str, version: &str) -> Vec<u8> {
        match client {
            Some(client) => {
                let parameters = [("SecretName", name), ("VersionId", version), ("SecretData", VALUE)];
                client.request("PutSecretValue", &parameters).in_body(&["SecretData"]).bytes()
            }
            None => self.create(client, &format!("{name}/{version}")),
        }
    }

    /// The request that reads one.
    pub fn read(&self, client: Option<&Client>, name: &str) -> Vec<u8> {
        if let Some(client) = client {
            return client.request("GetSecretValue", &[("SecretName", name)]).get().bytes();
        }
        match self {
            Program::OpenBao { address, token, .. } => vault::read(address, token, name),
            _ => format!("GET /read?name={name} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address()).into_bytes(),
        }
    }

    /// Resident memory now and at its highest, KiB.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn memory(&self) -> io::Result<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok()
        };
        field("VmRSS").zip(field("VmHWM")).ok_or_else(|| io::Error::other("no VmRSS in /proc"))
    }

    /// Processor time used so far, of all its threads.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu(&self) -> io::Result<Duration> {
        cpu(self.pid()?)
    }

    /// Its process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> io::Result<u32> {
        match self {
            Program::Floor { child, .. } | Program::OpenBao { child, .. } => Ok(child.id()),
            Program::Bulla(server) => server.pid().ok_or_else(|| io::ErrorKind::NotFound.into()),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Program::Floor { child, .. } | Program::OpenBao { child, .. } = self {
            terminate(child);
        }
    }
}

/// Processor time that a process has used so far, in all its threads.
///
/// # Errors
/// When it is gone.
pub fn cpu(pid: u32) -> io::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which may hold anything: user and system time are the 12th and 13th, in hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    Ok(Duration::from_millis(ticks * 10))
}

/// The release build beside this program.
pub fn bulla() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name("bulla")
}

/// The size of an SQLite database with everything in its one file, bytes.
///
/// # Errors
/// When it cannot be opened.
pub fn database_bytes(path: &Path) -> Result<u64, Failure> {
    let mut connection = SqliteConnection::establish(&path.display().to_string())?;
    connection.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(std::fs::metadata(path)?.len())
}

/// How long `bulla serve` takes from its start to its first answer, on the data of a `bulla dev` that has stopped.
///
/// # Errors
/// When it does not answer within ten seconds.
pub fn start_up(data: &Path) -> Result<Duration, Failure> {
    let address = free_address()?;
    let mut command = bound_to_this_process(&bulla());
    command.args(["serve", "--config"]).arg(data.join("bulla.toml")).env("BULLA_SERVER__LISTEN", &address);
    command.env(softhsm::CONF_VARIABLE, data.join("softhsm2.conf")).stderr(File::create(data.join("serve.log"))?);
    let began = Instant::now();
    let mut child = spawn(command)?;
    let first_answer = loop {
        if ready(&address).unwrap_or(false) {
            break Ok(began.elapsed());
        }
        if began.elapsed() > Duration::from_secs(10) {
            break Err("bulla serve does not answer".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    terminate(&mut child);
    first_answer
}

/// What `bulla verify` says of the data of a `bulla dev` that has stopped, on one line, and how long it takes.
///
/// # Errors
/// When the store does not verify.
pub fn verify(data: &Path) -> Result<(Duration, String), Failure> {
    let mut command = bound_to_this_process(&bulla());
    command.args(["verify", "--config"]).arg(data.join("bulla.toml"));
    command.env(softhsm::CONF_VARIABLE, data.join("softhsm2.conf")).stdout(Stdio::piped());
    let began = Instant::now();
    let output = spawn(command)?.wait_with_output()?;
    let time = began.elapsed();
    let said = String::from_utf8_lossy(&output.stdout).lines().collect::<Vec<_>>().join(", ");
    if output.status.success() { Ok((time, said)) } else { Err(format!("bulla verify: {said}").into()) }
}

/// An address of loopback where nobody listens.
///
/// # Errors
/// When there is none.
pub fn free_address() -> io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn ready(address: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    io::Write::write_all(
        &mut stream,
        format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.starts_with("HTTP/1.1 200"))
}

/// The processor, the kernel and the day, for the head of the report.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name")).map_or("?", |m| m.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let softhsm =
        Command::new("softhsm2-util").arg("--version").output().map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    format!(
        "{cores} cores of {model}, Linux {}, SoftHSM {}, {}",
        kernel.trim(),
        softhsm.unwrap_or_default(),
        jiff::Zoned::now().date()
    )
}
