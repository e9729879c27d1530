//! The configuration file, and the environment over it.
//!
//! Owns: every setting, its default and its unit. Must not know: what is built from them. Read by app and admin, which pass plain
//! values on. Unknown keys are refused. Every key can come from the environment: `BULLA_`, then the path with `__` between its
//! parts, e.g. `BULLA_TOKEN__PIN_FILE`; a variable without `__` is none of ours, but for `BULLA_REGION`. Secrets are named by file, never given.

mod rotation;

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use ipnet::IpNet;
use serde::Deserialize;

pub use rotation::{Instance, Rotation};

use crate::base::ids::Region;
use crate::base::secret::Pin;
use crate::logging;
use crate::process::LockMemory;

/// Everything that can be set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The region that ARNs name and that this deployment answers as.
    pub region: Region,
    /// The API's listener.
    #[serde(default)]
    pub server: Server,
    /// The PKCS#11 token.
    pub token: Token,
    /// The database.
    pub database: Database,
    /// The audit files.
    pub audit: Audit,
    /// Bounds on callers.
    #[serde(default)]
    pub limits: Limits,
    /// Bounds on accounts.
    #[serde(default)]
    pub quotas: Quotas,
    /// Bounds on master keys.
    #[serde(default)]
    pub keys: Keys,
    /// The servers whose accounts are rotated.
    #[serde(default)]
    pub rotation: Rotation,
    /// The log on standard error.
    #[serde(default)]
    pub log: logging::Options,
}

/// `[server]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port.
    pub listen: SocketAddr,
    /// Address and port of /healthz, /readyz and /metrics; the same as `listen` where nothing is said.
    pub admin_listen: Option<SocketAddr>,
    /// Certificates of `listen`; plain HTTP where there are none.
    pub tls: Option<Tls>,
    /// Whether plain HTTP may be served on an address that is not loopback, because a proxy in front ends TLS.
    pub plain_http_beyond_loopback: bool,
    /// Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Threads that do requests' work.
    pub threads: usize,
    /// Requests that are worked on or wait for a thread; one more is answered 503.
    pub max_concurrent: usize,
    /// Connections open at once.
    pub max_connections: usize,
    /// Longest body, bytes.
    pub max_body_bytes: usize,
    /// From the first byte of a request head to its last, ms; a minute at most.
    pub head_timeout_ms: u64,
    /// From the head to the last byte of the body, ms; a minute at most.
    pub body_timeout_ms: u64,
    /// Idle connections are kept so long, ms.
    pub keep_alive_ms: u64,
    /// A request that is not done by then is answered 503, ms; what it does goes on.
    pub answer_timeout_ms: u64,
    /// On SIGTERM, requests under way get so long, ms.
    pub stop_timeout_ms: u64,
    /// Whether memory is kept from being written to swap: `where_allowed`, `always` or `never`.
    pub lock_memory: LockMemory,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: None,
            tls: None,
            plain_http_beyond_loopback: false,
            trusted_proxies: Vec::new(),
            threads: 64,
            max_concurrent: 512,
            max_connections: 4096,
            max_body_bytes: 256 * 1024,
            head_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            keep_alive_ms: 60_000,
            answer_timeout_ms: 10_000,
            stop_timeout_ms: 8_000,
            lock_memory: LockMemory::default(),
        }
    }
}

/// `[server.tls]`; all files are PEM and are read again when they change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The server's certificate, followed by those between it and its root.
    pub certificate_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// Roots of clients' certificates; without it no client is asked for one.
    pub client_ca_file: Option<PathBuf>,
    /// Whether a client without a certificate is refused, where `client_ca_file` is set.
    #[serde(default = "Tls::default_client_certificate_required")]
    pub client_certificate_required: bool,
}

impl Tls {
    fn default_client_certificate_required() -> bool {
        true
    }
}

/// `[token]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The vendor's PKCS#11 module.
    pub module: PathBuf,
    /// The token's label; this or `serial`.
    pub label: Option<String>,
    /// The token's serial number; this or `label`.
    pub serial: Option<String>,
    /// File with the user PIN, one line.
    pub pin_file: Option<PathBuf>,
    /// Name of a systemd credential with the user PIN.
    pub pin_credential: Option<String>,
    /// Sessions that do the work; the token's own limit applies too.
    #[serde(default = "Token::default_sessions")]
    pub sessions: usize,
    /// Longest wait for a free session, ms.
    #[serde(default = "Token::default_session_wait_ms")]
    pub session_wait_ms: u64,
}

impl Token {
    fn default_sessions() -> usize {
        8
    }

    fn default_session_wait_ms() -> u64 {
        2_000
    }

    /// Reads the PIN: from its file, from the systemd credential, or by asking at the terminal where neither is named.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn pin(&self) -> Result<Pin, ConfigError> {
        let Some(path) = secret_file("token.pin", self.pin_file.as_deref(), self.pin_credential.as_deref())? else {
            let pin = rpassword::prompt_password("PIN of the token: ")
                .map_err(|e| ConfigError(format!("token: no pin_file, no pin_credential, and no terminal to ask at: {e}")))?;
            return Ok(Pin::new(pin));
        };
        let mut text = fs::read_to_string(&path).map_err(|e| ConfigError(format!("PIN file {}: {e}", path.display())))?;
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        Ok(Pin::new(text))
    }
}

/// The file of a secret that the settings `NAME_file` and `NAME_credential` (of systemd) tell, if one does.
fn secret_file(name: &str, file: Option<&Path>, credential: Option<&str>) -> Result<Option<PathBuf>, ConfigError> {
    match (file, credential) {
        (Some(_), Some(_)) => Err(ConfigError(format!("name {name}_file or {name}_credential, not both"))),
        (Some(file), None) => Ok(Some(file.to_owned())),
        (None, Some(credential)) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
            Some(folder) => Ok(Some(Path::new(&folder).join(credential))),
            None => Err(ConfigError(format!("{name}_credential: systemd gave no credentials ($CREDENTIALS_DIRECTORY)"))),
        },
        (None, None) => Ok(None),
    }
}

/// `[database]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite:PATH` or `postgresql://…`; this or `url_file`.
    pub url: Option<String>,
    /// File that holds the URL, where the URL holds a password.
    pub url_file: Option<PathBuf>,
    /// Connections for reading (SQLite: beside the one that writes; PostgreSQL: connections in all).
    #[serde(default = "Database::default_connections")]
    pub connections: u32,
    /// Longest wait for a connection, ms.
    #[serde(default = "Database::default_wait_ms")]
    pub wait_ms: u64,
    /// Whether `bulla serve` applies new migrations by itself; otherwise it refuses to start until `bulla migrate` has.
    #[serde(default)]
    pub migrate_at_start: bool,
}

impl Database {
    fn default_connections() -> u32 {
        8
    }

    fn default_wait_ms() -> u64 {
        2_000
    }

    /// The database's URL.
    ///
    /// # Errors
    /// When none is named or its file cannot be read.
    pub fn location(&self) -> Result<String, ConfigError> {
        match (&self.url, &self.url_file) {
            (Some(url), None) => Ok(url.clone()),
            (None, Some(file)) => fs::read_to_string(file)
                .map(|text| text.trim().to_owned())
                .map_err(|e| ConfigError(format!("database.url_file {}: {e}", file.display()))),
            _ => Err(ConfigError("database: name url or url_file, one of them".into())),
        }
    }
}

/// `[audit]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Folder of this node's audit files; no other node's.
    pub directory: PathBuf,
    /// A file that has grown so large is closed and the next begun, bytes.
    #[serde(default = "Audit::default_max_file_bytes")]
    pub max_file_bytes: u64,
}

impl Audit {
    fn default_max_file_bytes() -> u64 {
        256 * 1024 * 1024
    }
}

/// `[limits]`; without limit where nothing is said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests per second and account.
    pub requests_per_second: Option<NonZeroU32>,
    /// Nonces that a node remembers.
    pub nonces: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests_per_second: None, nonces: 1_000_000 }
    }
}

/// `[quotas]`, per account; without limit where nothing is said.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// Master keys.
    pub keys: Option<u32>,
    /// Aliases.
    pub aliases: Option<u32>,
    /// Secrets.
    pub secrets: Option<u32>,
}

/// `[keys]`; the defaults are the highest values that are safe, and lower ones rotate keys more often.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// Encryptions under one version after which its key gets a new one; from 16 to 2^30.
    pub rotate_after_uses: u32,
    /// Encryptions under one version after which it encrypts no more; more than `rotate_after_uses`, at most 2^31.
    pub stop_after_uses: u32,
}

impl Default for Keys {
    fn default() -> Self {
        Self { rotate_after_uses: 1 << 30, stop_after_uses: 1 << 31 }
    }
}

/// What is wrong with the configuration, for the administrator.
#[derive(Debug)]
pub struct ConfigError(pub String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the file, and the environment over it.
    ///
    /// # Errors
    /// When the file cannot be read, a key is unknown or missing, or a value has the wrong form.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        if !file.is_file() {
            return Err(ConfigError(format!("no configuration file {}", file.display())));
        }
        let figment = Figment::from(Toml::file_exact(file)).merge(environment());
        let config: Self = figment.extract().map_err(|e| ConfigError(format!("{}: {e}", file.display())))?;
        config.check().map(|()| config)
    }

    /// The same, on another address.
    ///
    /// # Errors
    /// When the address is not loopback and plain HTTP is not allowed beyond.
    pub fn listening_on(mut self, listen: SocketAddr) -> Result<Self, ConfigError> {
        self.server.listen = listen;
        self.check().map(|()| self)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |text: &str| Err(ConfigError(text.into()));
        if self.token.label.is_some() == self.token.serial.is_some() {
            return wrong("token: name label or serial, one of them");
        }
        let api = self.server.tls.is_none().then_some(self.server.listen);
        let loopback = [api, self.server.admin_listen].iter().flatten().all(|a| a.ip().is_loopback());
        if !loopback && !self.server.plain_http_beyond_loopback {
            return wrong(
                "server: plain HTTP beyond loopback; set server.tls, or put a TLS proxy in front and set \
                 plain_http_beyond_loopback = true",
            );
        }
        let Keys { rotate_after_uses: rotate, stop_after_uses: stop } = self.keys;
        if !(16..=1 << 30).contains(&rotate) || !(rotate + 1..=1 << 31).contains(&stop) {
            return wrong("keys: rotate_after_uses is from 16 to 2^30, stop_after_uses is more and at most 2^31");
        }
        if self.server.max_concurrent == 0 || self.token.sessions == 0 || self.database.connections == 0 {
            return wrong("server.max_concurrent, token.sessions and database.connections are at least 1");
        }
        self.rotation.check()
    }
}

/// The settings in the environment: those with a section, and the region. Other programs have variables that begin `BULLA_` too,
/// so no other name is taken for a misspelt setting.
fn environment() -> Env {
    Env::prefixed("BULLA_").filter(|name| name == "region" || name.as_str().contains("__")).split("__")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all(text.as_bytes()).expect("write");
        Config::load(file.path())
    }

    const LEAST: &str = r#"
        region = "cn-hangzhou"
        token = { module = "/m.so", label = "bulla", pin_file = "/p" }
        database = { url = "sqlite:/x" }
        audit = { directory = "/a" }
    "#;

    #[test]
    fn defaults_fill_in_and_unknown_keys_are_refused() {
        let config = load(LEAST).expect("least");
        assert_eq!(config.token.sessions, 8);
        assert_eq!(config.database.location().expect("url"), "sqlite:/x");
        assert!(load(&format!("{LEAST}\n[server]\nlisten_on = 1")).is_err());
        assert!(load(&format!("{LEAST}\n[keys]\nrotate_after_uses = 1000")).is_ok());
        assert!(load(&format!("{LEAST}\n[keys]\nstop_after_uses = 3000000000")).is_err());
        assert!(load(&format!("{LEAST}\n[limits]\nrequests_per_second = 0")).is_err());
    }

    #[test]
    fn plain_http_stays_on_loopback_unless_told() {
        let beyond = format!("{LEAST}\n[server]\nlisten = \"0.0.0.0:80\"");
        assert!(load(&beyond).is_err());
        assert!(load(&format!("{beyond}\nplain_http_beyond_loopback = true")).is_ok());
        let tls = "[server.tls]\ncertificate_file = \"/c\"\nkey_file = \"/k\"";
        assert!(load(&format!("{beyond}\n{tls}")).is_ok());
        assert!(load(&format!("{beyond}\nadmin_listen = \"0.0.0.0:81\"\n{tls}")).is_err());
    }

    /// The samples that people copy.
    #[test]
    fn samples_in_the_documentation_parse() {
        let text = include_str!("../docs/operations.md");
        let samples: Vec<&str> = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!samples.is_empty());
        for sample in samples {
            if let Err(error) = load(sample) {
                panic!("{error}\n{sample}");
            }
        }
    }
}
