//! `[server]`: the listeners.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};

use super::files::anchor;
use crate::base::listen::Listen;
use crate::process::LockMemory;

/// `[server]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port; also a port alone, which is on loopback, or a host's name.
    pub listen: Listen,
    /// The same of /healthz, /readyz and /metrics; they are on `listen` where nothing is said.
    pub admin_listen: Option<Listen>,
    /// Certificates of `listen`; plain HTTP where there are none.
    pub tls: Option<Tls>,
    /// Whether plain HTTP may be served on an address that is not loopback, because a proxy in front ends TLS.
    pub plain_http_beyond_loopback: bool,
    /// Whether `admin_listen`, which is always plain HTTP, may be an address that is not loopback: for a kubelet, for Prometheus.
    pub admin_plain_http_beyond_loopback: bool,
    /// Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
    #[serde(deserialize_with = "networks")]
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

/// Networks, of which one address may stand for itself.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let network = |text: &String| {
        let of_address = || text.parse::<IpAddr>().map(IpNet::from);
        let none = |_| de::Error::custom(format!("{text:?} is no network; write for example \"10.0.0.0/8\" or \"127.0.0.1\""));
        text.parse::<IpNet>().or_else(|_| of_address()).map_err(none)
    };
    texts.iter().map(network).collect()
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            admin_listen: None,
            tls: None,
            plain_http_beyond_loopback: false,
            admin_plain_http_beyond_loopback: false,
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
    /// Whether a client without a certificate is refused, where `client_ca_file` is set; true where nothing is said.
    pub client_certificate_required: Option<bool>,
}

impl Tls {
    pub(super) fn anchor(&mut self, folder: &Path) {
        anchor(&mut self.certificate_file, folder);
        anchor(&mut self.key_file, folder);
        self.client_ca_file.iter_mut().for_each(|file| anchor(file, folder));
    }

    /// Whether a client without a certificate is refused, where clients are asked for one.
    pub fn requires_client_certificate(&self) -> bool {
        self.client_certificate_required.unwrap_or(true)
    }
}
