//! A client just large enough for `bulla dev` and `bulla probe`: one connection a call, RPC signature 1.0, over TLS where a certificate
//! authority is named.
//!
//! Owns: that client. Called by: dev, probe.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use uuid::Uuid;

use crate::app::{Failure, context};
use crate::base::clock::Clock;
use crate::base::ids::AccessKeyId;
use crate::base::secret::AccessKeySecret;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// RFC 3986's unreserved characters stay.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A server.
#[derive(Clone)]
pub struct Target {
    /// Address and port.
    pub endpoint: String,
    /// The file of the authority that signed its certificate; none for plain HTTP.
    pub authority: Option<PathBuf>,
}

impl Target {
    /// Waits until the server says that token, database and audit log all answer.
    ///
    /// # Errors
    /// When it does not within half a minute; what it said last.
    pub fn wait_until_ready(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            let last = match Client::page(self, "/readyz") {
                Ok((200, _)) => return Ok(()),
                Ok((status, body)) => format!("{status} {body}"),
                Err(e) => e.to_string(),
            };
            if begun.elapsed() > PATIENCE {
                return Err(Failure::unavailable(format!("the server is not ready: {last}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn connect(&self) -> std::io::Result<Box<dyn Connection>> {
        let stream = TcpStream::connect(&self.endpoint)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let Some(file) = &self.authority else { return Ok(Box::new(stream)) };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).map_err(std::io::Error::other)? {
            roots.add(certificate.map_err(std::io::Error::other)?).map_err(std::io::Error::other)?;
        }
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(std::io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::from(stream.peer_addr()?.ip());
        let session = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
        Ok(Box::new(StreamOwned::new(session, stream)))
    }
}

/// Bytes both ways.
trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

/// Somebody who calls a server.
pub struct Client<'a> {
    target: &'a Target,
    id: &'a AccessKeyId,
    key: hmac::Key,
}

impl<'a> Client<'a> {
    /// A client with this access key.
    pub fn new(target: &'a Target, id: &'a AccessKeyId, secret: &AccessKeySecret) -> Self {
        let key = zeroize::Zeroizing::new([secret.expose(), b"&"].concat());
        Self { target, id, key: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key) }
    }

    /// Creates a secret, unless there is one of that name.
    ///
    /// # Errors
    /// What the server answered instead.
    pub fn create_secret(&self, name: &str, value: &str, description: &str) -> Result<bool, Failure> {
        let made = [("SecretName", name), ("VersionId", "v1"), ("SecretData", value), ("Description", description)];
        match self.call("CreateSecret", &made)? {
            (200, _) => Ok(true),
            (409, answer) if answer["Code"] == "Rejected.ResourceExist" => Ok(false),
            (status, answer) => Err(Failure::new(format!("{name}: CreateSecret answered {status} {answer}"))),
        }
    }

    /// A secret's value.
    ///
    /// # Errors
    /// What the server answered instead.
    pub fn secret_value(&self, name: &str) -> Result<String, Failure> {
        match self.call("GetSecretValue", &[("SecretName", name)])? {
            (200, answer) => Ok(answer["SecretData"].as_str().unwrap_or_default().to_owned()),
            (status, answer) => Err(Failure::new(format!("GetSecretValue answered {status} {}", answer["Code"]))),
        }
    }

    fn call(&self, action: &str, params: &[(&str, &str)]) -> Result<(u16, serde_json::Value), Failure> {
        let (time, nonce) = (Clock::System.now().to_string(), Uuid::new_v4().simple().to_string());
        let mut all = BTreeMap::from([
            ("AccessKeyId", self.id.as_str()),
            ("Action", action),
            ("Format", "JSON"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", &nonce),
            ("SignatureVersion", "1.0"),
            ("Timestamp", &time),
            ("Version", "2016-01-20"),
        ]);
        all.extend(params.iter().copied());
        let mut form = String::new();
        for (name, value) in &all {
            let _ = write!(form, "{}={}&", encode(name), encode(value));
        }
        form.pop();
        let tag = hmac::sign(&self.key, format!("POST&%2F&{}", encode(&form)).as_bytes());
        let signature = STANDARD.encode(tag.as_ref());
        let form = format!("{form}&Signature={}", encode(&signature));
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            self.target.endpoint,
            form.len()
        );
        let (status, body) = exchange(self.target, &request)?;
        let answer = serde_json::from_str(&body).map_err(context(format!("{action} answered {status}")))?;
        Ok((status, answer))
    }

    /// A page: status and body.
    ///
    /// # Errors
    /// Of the connection.
    pub fn page(target: &Target, path: &str) -> std::io::Result<(u16, String)> {
        exchange(target, &format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.endpoint))
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// One request: status and body.
fn exchange(target: &Target, request: &str) -> std::io::Result<(u16, String)> {
    let mut stream = target.connect()?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // The peer closed without TLS's own end; the length of the body is checked by its reader.
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof && !answer.is_empty() => {}
        other => drop(other?),
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_default();
    Ok((status, body.to_owned()))
}
