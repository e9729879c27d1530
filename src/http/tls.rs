//! TLS: certificates from files, and their renewal without a restart.
//!
//! Owns: what is offered and accepted in a handshake: TLS 1.2 and 1.3 with the defaults of rustls, HTTP/1.1, client certificates
//! of one's own CA. Must not know: requests. Called by: app, which loads it; http, for each connection.
//!
//! A thread of their own looks at the files, once a second. When they have changed it reads them again; if they do not fit together
//! (yet), what was read before stays in use, and the next change is waited for. A file system that hangs hangs that thread and nobody
//! else: connections take what was read last.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use actix_web::rt::net::TcpStream;
use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{Error as TlsError, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

use crate::base::certificate;
use crate::base::clock::Timestamp;
use crate::base::regular;

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long whoever has them read again waits for that.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// The files, all PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's certificate, followed by those between it and its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The roots that clients' certificates must lead to; none asks for no certificate.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is refused, where there are such roots.
    pub client_required: bool,
}

/// Handshakes with the newest certificate.
pub struct Tls {
    files: TlsFiles,
    newest: Newest,
    /// Asks the thread to read at once. It ends when this is dropped.
    ask: Mutex<Sender<Outcome>>,
}

type Newest = Arc<Mutex<Loaded>>;

/// What handshakes take from the files.
#[derive(Clone)]
struct Loaded {
    config: Arc<ServerConfig>,
    /// When the first of its certificates ends, where that can be told.
    end: Option<Timestamp>,
}

/// Takes what came of a reading that was asked for.
type Outcome = Sender<io::Result<()>>;

/// When each file changed last, and its length.
type Stamps = Vec<Option<(SystemTime, u64)>>;

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({:?})", self.files)
    }
}

impl Tls {
    /// Reads the files, and watches them from now on.
    ///
    /// # Errors
    /// When one cannot be read, or they do not fit together.
    pub fn load(files: TlsFiles) -> io::Result<Self> {
        let seen = files.stamps();
        let newest = Arc::new(Mutex::new(files.loaded()?));
        let (ask, asked) = channel();
        let (watched, written) = (files.clone(), Arc::clone(&newest));
        thread::Builder::new().name("bulla-tls-files".into()).spawn(move || watched.watch(seen, &written, &asked))?;
        Ok(Self { files, newest, ask: Mutex::new(ask) })
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// When the client breaks off, speaks something else, or its certificate is refused.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let newest = Arc::clone(&self.newest.lock().config);
        TlsAcceptor::from(newest).accept(stream).await
    }

    /// When the first certificate that is offered ends, whatever the file holds by now; none where that cannot be told.
    pub fn certificate_end(&self) -> Option<Timestamp> {
        self.newest.lock().end
    }

    /// Has the files read again, whether they have changed or not.
    ///
    /// # Errors
    /// As [`Tls::load`], and when that takes too long; what was read before stays in use.
    pub fn reload(&self) -> io::Result<()> {
        let (tell, told) = channel();
        let asked = self.ask.lock().send(tell);
        asked.map_err(|_| io::Error::other("nobody watches the files any more"))?;
        told.recv_timeout(READ_WITHIN)
            .unwrap_or_else(|_| Err(io::Error::other("the files are not to be had: reading them hangs")))
    }
}

impl TlsFiles {
    /// Looks at the files until nobody can ask any more.
    fn watch(&self, mut seen: Stamps, newest: &Newest, asked: &Receiver<Outcome>) {
        loop {
            let asker = match asked.recv_timeout(LOOK_EVERY) {
                Ok(asker) => Some(asker),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let stamps = self.stamps();
            if asker.is_none() && stamps == seen {
                continue;
            }
            seen = stamps;
            let read = self.loaded().map(|loaded| *newest.lock() = loaded);
            match (asker, read) {
                // It may have given up waiting.
                (Some(asker), read) => drop(asker.send(read)),
                (None, Ok(())) => log::info!("TLS: certificates read again"),
                (None, Err(error)) => {
                    log::error!("TLS: the files have changed and do not fit, those before stay in use: {error}");
                }
            }
        }
    }

    fn stamps(&self) -> Stamps {
        let stamp = |path: &Path| fs::metadata(path).and_then(|m| Ok((m.modified()?, m.len()))).ok();
        [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten().map(|p| stamp(p)).collect()
    }

    fn loaded(&self) -> io::Result<Loaded> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let pem = regular::read(&self.certificate)?;
        let chain = certificates_in(&self.certificate, &pem)?;
        let key = Zeroizing::new(regular::read(&self.key)?);
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| of(&self.key, not_a_key(&key, e)))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(path)? {
                    roots.add(root).map_err(|e| of(path, e))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = if self.client_required { verifier } else { verifier.allow_unauthenticated() };
                builder.with_client_cert_verifier(verifier.build().map_err(|e| of(path, e))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|e| match e {
            // What the library says when it cannot use the key at all.
            TlsError::General(_) => {
                of(&self.key, "not a key that TLS takes: RSA of 2048 bits or more, EC P-256 or P-384, Ed25519")
            }
            other => of(&self.certificate, other),
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would go on with the certificate of a client that is refused by now.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Loaded { config: Arc::new(config), end: certificate::validity_in(&pem).ok().map(|validity| validity.until) })
    }
}

/// Why a file holds no key that can be used; nothing of the file.
fn not_a_key(pem: &[u8], error: impl std::fmt::Display) -> String {
    let holds = |mark: &[u8]| memchr::memmem::find(pem, mark).is_some();
    if holds(b"ENCRYPTED") {
        return "the key is encrypted, and nobody is there to say its passphrase: `openssl pkey` writes it without".to_owned();
    }
    if holds(b"BEGIN CERTIFICATE") && !holds(b"PRIVATE KEY") {
        return "no private key, but a certificate".to_owned();
    }
    format!("no private key in PEM ({error})")
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    certificates_in(path, &regular::read(path)?)
}

fn certificates_in(path: &Path, pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|e| of(path, not_whole(&e)))?;
    if read.is_empty() { Err(of(path, "no certificate in it")) } else { Ok(read) }
}

/// Why a file is no PEM; the library tells labels as numbers.
fn not_whole(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a part of it has no end: the file was cut off".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a line that begins a part is not whole".to_owned(),
        other => format!("no PEM ({other})"),
    }
}

fn of(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_no_key_is_told_for_what_it_is() {
        let of = |pem: &str| not_a_key(pem.as_bytes(), "x");
        assert!(of("-----BEGIN ENCRYPTED PRIVATE KEY-----").contains("is encrypted"));
        assert!(of("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED").contains("is encrypted"));
        assert!(of("-----BEGIN CERTIFICATE-----").contains("but a certificate"));
        assert!(of("secret").ends_with("in PEM (x)"));
    }

    #[test]
    fn a_certificate_that_was_cut_off_is_told_in_words() {
        let cut = b"-----BEGIN CERTIFICATE-----\nMIIB\n";
        let refused = certificates_in(Path::new("/c"), cut).expect_err("no end").to_string();
        assert_eq!(refused, "/c: a part of it has no end: the file was cut off");
    }

    #[test]
    fn the_end_is_that_of_the_certificate_in_use() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let make = |year| {
            let mut parameters = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).expect("a name");
            parameters.not_after = rcgen::date_time_ymd(year, 1, 2);
            let key = rcgen::KeyPair::generate().expect("a key");
            (parameters.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
        };
        let ((first, key), (another, _)) = (make(2040), make(2050));
        fs::write(at("crt"), first).expect("written");
        fs::write(at("key"), key).expect("written");
        let files = TlsFiles { certificate: at("crt"), key: at("key"), client_ca: None, client_required: true };
        let tls = Tls::load(files).expect("they fit");
        let ends = || tls.certificate_end().map(|end| end.to_string());
        assert_eq!(ends().as_deref(), Some("2040-01-02T00:00:00Z"));
        fs::write(at("crt"), another).expect("written");
        assert!(tls.reload().is_err(), "of another key");
        assert_eq!(ends().as_deref(), Some("2040-01-02T00:00:00Z"));
        fs::remove_file(at("crt")).expect("removed");
        assert!(tls.reload().is_err() && ends().is_some());
    }
}
