//! TLS: certificates from files, and their renewal without a restart.
//!
//! Owns: what is offered and accepted in a handshake: TLS 1.2 and 1.3 with the defaults of rustls, HTTP/1.1, client certificates
//! of one's own CA. Must not know: requests. Called by: app, which loads it; http, for each connection.
//!
//! The files are looked at when a connection comes, once a second at most. When they have changed they are read again; if they do
//! not fit together (yet), what was read before stays in use, and the next change is waited for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix_web::rt::net::TcpStream;
use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
    state: Mutex<State>,
}

struct State {
    config: Arc<ServerConfig>,
    seen: Stamps,
    looked: Instant,
}

/// When each file changed last, and its length.
type Stamps = Vec<Option<(SystemTime, u64)>>;

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({:?})", self.files)
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, or they do not fit together.
    pub fn load(files: TlsFiles) -> io::Result<Self> {
        let seen = files.stamps();
        let config = Arc::new(files.config()?);
        Ok(Self { files, state: Mutex::new(State { config, seen, looked: Instant::now() }) })
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// When the client breaks off, speaks something else, or its certificate is refused.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.current()).accept(stream).await
    }

    /// Reads the files again, whether they have changed or not.
    ///
    /// # Errors
    /// As [`Tls::load`]; what was read before stays in use.
    pub fn reload(&self) -> io::Result<()> {
        let seen = self.files.stamps();
        let config = Arc::new(self.files.config()?);
        *self.state.lock() = State { config, seen, looked: Instant::now() };
        Ok(())
    }

    fn current(&self) -> Arc<ServerConfig> {
        // What a panic could leave is either configuration, whole.
        let mut state = self.state.lock();
        if state.looked.elapsed() >= LOOK_EVERY {
            state.looked = Instant::now();
            let stamps = self.files.stamps();
            if stamps != state.seen {
                state.seen = stamps;
                match self.files.config() {
                    Ok(config) => {
                        state.config = Arc::new(config);
                        log::info!("TLS: certificates read again");
                    }
                    Err(error) => log::error!("TLS: the files have changed and do not fit, those before stay in use: {error}"),
                }
            }
        }
        Arc::clone(&state.config)
    }
}

impl TlsFiles {
    fn stamps(&self) -> Stamps {
        let stamp = |path: &Path| fs::metadata(path).and_then(|m| Ok((m.modified()?, m.len()))).ok();
        [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten().map(|p| stamp(p)).collect()
    }

    fn config(&self) -> io::Result<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| of(&self.key, e))?;
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
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|e| of(path, e))?;
    if read.is_empty() { Err(of(path, "no certificate in it")) } else { Ok(read) }
}

fn of(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}
