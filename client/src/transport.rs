//! One request out, one answer in: connections, TLS, time limits, and which failure is which.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::CertificateError;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, RustlsConnector, TcpConnector};
use ureq::{Agent, Timeout};
use zeroize::Zeroizing;

use crate::error::{Error, TlsFault};
use crate::last_words::LastWords;

/// An answer is never longer: a batch of twenty values, or a page of a hundred secrets, is a few megabytes.
const LONGEST_ANSWER: u64 = 64 << 20;

/// A kept connection that rested longer is not used again: servers close theirs after a while.
const IDLE: Duration = Duration::from_secs(5);

/// Calls that are on their way at a time where there are many, and so connections that are kept between them.
pub(crate) const ABREAST: usize = 8;

/// How TLS and time limits are.
pub(crate) struct Settings {
    /// PEM of the authorities that are trusted; those of the system where there is none.
    pub(crate) authorities: Option<Vec<u8>>,
    /// PEM of certificate chain and key.
    pub(crate) identity: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    /// An answer is never longer, bytes.
    pub(crate) longest: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let (connect_timeout, timeout) = (Duration::from_secs(5), Duration::from_secs(30));
        Self { authorities: None, identity: None, connect_timeout, timeout, longest: LONGEST_ANSWER }
    }
}

/// A pool of connections to one server.
pub(crate) struct Transport {
    agent: Agent,
    endpoint: String,
    longest: u64,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
    pub(crate) date: Option<String>,
}

/// Whether no proxy that the environment names is for this server: none is for a server of this machine, and that of https is not for http.
fn goes_without_proxy(endpoint: &str) -> bool {
    let (host, _) = with_port(host_of(endpoint).unwrap_or_default());
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let here = host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback());
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    here || endpoint.starts_with("http://") && !["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"].into_iter().any(set)
}

impl Transport {
    pub(crate) fn new(endpoint: &str, settings: &Settings) -> Result<Self, Error> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("bulla-client/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(settings.connect_timeout))
            .timeout_global(Some(settings.timeout))
            .max_idle_connections_per_host(ABREAST)
            .max_idle_age(IDLE);
        if endpoint.starts_with("https://") {
            config = config.tls_config(tls(settings)?);
        }
        if goes_without_proxy(endpoint) {
            config = config.proxy(None);
        }
        let connector =
            ().chain(ConnectProxyConnector::default())
                .chain(TcpConnector::default())
                .chain(LastWords)
                .chain(RustlsConnector::default());
        let agent = Agent::with_parts(config.build(), connector, DefaultResolver::default());
        Ok(Self { agent, endpoint: endpoint.to_owned(), longest: settings.longest })
    }

    /// Posts a form, or gets a page where there is none.
    pub(crate) fn exchange(
        &self,
        action: &str,
        path: &str,
        headers: &[(&str, &str)],
        form: Option<&[u8]>,
    ) -> Result<Answer, Error> {
        let url = format!("{}{path}", self.endpoint);
        let sent = match form {
            Some(body) => headers.iter().fold(self.agent.post(&url), |r, (n, v)| r.header(*n, *v)).send(body),
            None => headers.iter().fold(self.agent.get(&url), |r, (n, v)| r.header(*n, *v)).call(),
        };
        let mut response = sent.map_err(|e| self.failure(action, &e))?;
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let (retry_after, date) = (header("retry-after").and_then(|v| v.parse().ok()), header("date"));
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(self.longest).read_to_vec();
        // Whatever ends the connection in the middle of an answer: the head of it was there, so the request ran.
        let lost = |e: ureq::Error| Error::Lost { action: action.to_owned(), reason: e.to_string() };
        Ok(Answer { status, body: Zeroizing::new(body.map_err(lost)?), retry_after, date })
    }

    fn failure(&self, action: &str, error: &ureq::Error) -> Error {
        let endpoint = self.endpoint.clone();
        let proxy = self.agent.config().proxy().filter(|proxy| !proxy.is_no_proxy(&self.endpoint.parse().unwrap_or_default()));
        let way = proxy.map(|proxy| format!(", by the proxy {}:{} of the environment", proxy.host(), proxy.port()));
        let way = way.unwrap_or_default();
        let unreachable = |reason: &str| Error::Unreachable { endpoint: endpoint.clone(), reason: format!("{reason}{way}") };
        let tls = |e: &rustls::Error| Error::Tls { endpoint: endpoint.clone(), reason: e.to_string(), fault: fault(e) };
        match error {
            ureq::Error::HostNotFound => unreachable("no such host"),
            ureq::Error::ConnectionFailed => unreachable("no connection"),
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => unreachable("no answer in time"),
            ureq::Error::Rustls(e) => tls(e),
            ureq::Error::Tls(reason) => {
                Error::Tls { endpoint: endpoint.clone(), reason: (*reason).to_owned(), fault: TlsFault::Other }
            }
            ureq::Error::ConnectProxyFailed(reason) => unreachable(&format!("proxy: {reason}")),
            ureq::Error::Io(e) => match e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(inner) => tls(inner),
                None if never_sent(e) => unreachable(&words(e)),
                // getaddrinfo(3), by its words: the standard library keeps no number of it.
                None if e.to_string().contains("Temporary failure in name resolution") => {
                    unreachable("the name service does not answer")
                }
                None if e.to_string().starts_with(NOT_RESOLVED) => unreachable("no such host"),
                None => Error::Lost { action: action.to_owned(), reason: words(e) },
            },
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl => {
                Error::Settings(format!("{endpoint}: {error}"))
            }
            other => Error::Lost { action: action.to_owned(), reason: other.to_string() },
        }
    }
}

/// What the standard library puts before getaddrinfo's words.
const NOT_RESOLVED: &str = "failed to lookup address information";

/// HOST, or HOST:PORT, of the address of a server.
///
/// # Errors
/// [`Error::Settings`] where it is none.
pub fn host_of(address: &str) -> Result<&str, Error> {
    let host = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or_default();
    if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
        return Err(Error::Settings(format!("{address:?} is no address: https://HOST:PORT, or http://HOST:PORT")));
    }
    match with_port(host).1.map(str::parse::<u16>) {
        Some(Err(_) | Ok(0)) => Err(Error::Settings(format!("{address:?} has no port that there is: 1 to 65535"))),
        _ => Ok(host),
    }
}

/// HOST and PORT of either; the colons in an IPv6 address are in brackets.
fn with_port(host: &str) -> (&str, Option<&str>) {
    let parts = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
    parts.map_or((host, None), |(host, port)| (host, Some(port)))
}

/// The system's words, without its number.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let plain = text.split(" (os error").next().unwrap_or(&text);
    // Of whatever length in bytes: a translated C library's first letter may have several.
    let mut letters = plain.chars();
    letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
}

fn never_sent(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionRefused | Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::AddrNotAvailable | Kind::NotFound
    )
}

fn fault(error: &rustls::Error) -> TlsFault {
    use rustls::{AlertDescription as Alert, Error as Tls};
    match error {
        Tls::InvalidMessage(_) => TlsFault::Plain,
        Tls::InvalidCertificate(CertificateError::UnknownIssuer) => TlsFault::UnknownAuthority,
        Tls::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            TlsFault::OtherName
        }
        Tls::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateExpired
            | Alert::AccessDenied,
        ) => TlsFault::ClientCertificate,
        _ => TlsFault::Other,
    }
}

fn tls(settings: &Settings) -> Result<TlsConfig, Error> {
    let authorities = match &settings.authorities {
        Some(pem) => certificates(pem, "the authority's file")?,
        None => {
            let found = rustls_native_certs::load_native_certs();
            found.certs.iter().map(|c| Certificate::from_der(c.as_ref()).to_owned()).collect()
        }
    };
    let mut config = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::new_with_certs(&authorities));
    if let Some((chain, key)) = &settings.identity {
        let chain = certificates(chain, "the client certificate's file")?;
        let key = PrivateKey::from_pem(key)
            .map_err(|_| Error::Settings("the client key's file: no private key in PEM".to_owned()))?;
        config = config.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
    }
    Ok(config.build())
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<Certificate<'static>>, Error> {
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(e) => return Err(Error::Settings(format!("{what}: {e}"))),
        }
    }
    if found.is_empty() { Err(Error::Settings(format!("{what}: no certificate in PEM"))) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_begin_with_any_letter() {
        for (said, expected) in [
            ("Connection refused (os error 111)", "connection refused"),
            ("Überlauf (os error 75)", "überlauf"),
            ("连接被拒绝 (os error 111)", "连接被拒绝"),
            ("", ""),
        ] {
            assert_eq!(words(&io::Error::other(said)), expected);
        }
    }
}
