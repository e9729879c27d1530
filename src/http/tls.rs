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
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

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

type Newest = Arc<Mutex<Arc<ServerConfig>>>;

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
        let newest = Arc::new(Mutex::new(Arc::new(files.config()?)));
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
        let newest = Arc::clone(&self.newest.lock());
        TlsAcceptor::from(newest).accept(stream).await
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
            let read = self.config().map(|config| *newest.lock() = Arc::new(config));
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

    fn config(&self) -> io::Result<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = certificates(&self.certificate)?;
        let key = Zeroizing::new(regular::read(&self.key)?);
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| of(&self.key, e))?;
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
        let mut config = builder.with_single_cert(chain, key).map_err(|e| of(&self.certificate, e))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would go on with the certificate of a client that is refused by now.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let text = regular::read(path)?;
    let read = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().map_err(|e| of(path, e))?;
    if read.is_empty() { Err(of(path, "no certificate in it")) } else { Ok(read) }
}

fn of(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}
