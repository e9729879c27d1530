//! What the front can be told.
//!
//! Owns: the settings and their defaults. Must not know: files, environment. Filled by: app, from the configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::tls::Tls;
use crate::base::clock::Clock;

/// Settings of the HTTP front.
///
/// A request can take `head_timeout` + `body_timeout` to arrive; both are held to a minute, so that no request takes more than
/// two minutes to arrive.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the API is served.
    pub listen: SocketAddr,
    /// The certificates of the API's listener; none serves plain HTTP.
    pub tls: Option<Arc<Tls>>,
    /// Where health and figures are served, in plain HTTP. None: on the API's listener, figures and reasons for callers on loopback only.
    pub admin_listen: Option<SocketAddr>,
    /// Threads that do the network's work, and as many of those that do requests' work run at a time.
    pub workers: usize,
    /// Threads that do requests' work. As many can hang in a token that does not answer.
    pub threads: usize,
    /// Requests that are worked on or wait for a thread; more are answered 503 at once.
    pub max_concurrent: usize,
    /// Open connections; for one more, the one of least use is closed. Each can hold 128 KiB of head. `admin_listen` has some of them for
    /// its own.
    pub max_connections: usize,
    /// Length of the kernel's queue of connections not yet accepted.
    pub backlog: u32,
    /// Longest body, bytes.
    pub max_body_bytes: usize,
    /// Memory for all bodies at one time, bytes; a body that finds none is answered 503.
    pub max_body_memory_bytes: usize,
    /// From the first byte of a head to its last, at most a minute.
    pub head_timeout: Duration,
    /// From the head to the last byte of the body, at most a minute.
    pub body_timeout: Duration,
    /// Without a byte of an answer taken by the client.
    pub write_timeout: Duration,
    /// For how long a connection is kept without a request.
    pub keep_alive: Duration,
    /// For how long a request waits for a thread. It has had no effect then, and is answered 503.
    pub queue_timeout: Duration,
    /// For how long a client is kept waiting by work, its wait for a thread included, and then by its audit record. The work goes on.
    pub answer_timeout: Duration,
    /// For how long requests may go on after a signal to stop.
    pub stop_timeout: Duration,
    /// Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Gives requests their time of arrival.
    pub clock: Clock,
}

impl Config {
    /// The defaults, on this address.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            admin_listen: None,
            workers: std::thread::available_parallelism().map_or(2, |n| n.get()),
            threads: 64,
            max_concurrent: 512,
            max_connections: 4096,
            backlog: 1024,
            max_body_bytes: 256 * 1024,
            max_body_memory_bytes: 64 * 1024 * 1024,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(60),
            queue_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(30),
            stop_timeout: Duration::from_secs(10),
            trusted_proxies: Vec::new(),
            clock: Clock::System,
        }
    }

    /// Holds each setting to what makes sense: counts of at least 1, times to arrive of at most a minute.
    pub(super) fn bounded(mut self) -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        const MAX_WORKERS: usize = 512;
        self.workers = self.workers.clamp(1, MAX_WORKERS);
        self.threads = self.threads.max(self.workers);
        self.max_concurrent = self.max_concurrent.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        self.max_connections = self.max_connections.max(self.workers).max(2);
        self.head_timeout = self.head_timeout.min(MINUTE);
        self.body_timeout = self.body_timeout.min(MINUTE);
        self
    }

    /// How many connections `admin_listen` has for its own, so that neither side keeps the other out.
    pub(super) fn admin_connections(&self) -> usize {
        (self.max_connections / 8).clamp(1, 16)
    }
}
