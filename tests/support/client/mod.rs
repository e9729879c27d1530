//! A small signed client, so that Bulla's signatures are checked by code that shares nothing with them: requests are signed by the
//! client crate, and sent by a connection of the tests' own, since the crate sends nothing that is wrong and nothing twice the same.
//!
//! Owns: one HTTP/1.1 connection per thread at work, kept open. Speaks plain
//! HTTP only. Whatever an SDK would never send can be sent: a fixed nonce or time, parameters in odd places, raw bytes.
//!
//! ```no_run
//! # use bulla_test_support::client::Client;
//! let client = Client::new("127.0.0.1:8080", "id", "secret");
//! let answer = client.call("GetSecretValue", &[("SecretName", "a")]);
//! assert_eq!((answer.status, answer.text("SecretData")), (200, "value"));
//! ```

mod http;
mod sign;

use std::io;
use std::sync::Mutex;

use http::Connection;
pub use sign::{Scheme, percent_encode, rpc_string_to_sign};

/// An access key and the server it is used on.
pub struct Client {
    /// host:port.
    pub endpoint: String,
    /// The access key's public half.
    pub access_key_id: String,
    /// Its secret half.
    pub access_key_secret: String,
    /// How calls are signed unless a request says otherwise.
    pub scheme: Scheme,
    idle: Mutex<Vec<Connection>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// The body as JSON; `Null` where it is not.
    pub json: serde_json::Value,
}

impl Answer {
    /// A text field of the answer; empty where there is none.
    pub fn text(&self, field: &str) -> &str {
        self.json[field].as_str().unwrap_or_default()
    }

    /// The error code; empty on success.
    pub fn code(&self) -> &str {
        self.text("Code")
    }

    /// A header's first value; its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The answer, known to be a success.
    ///
    /// # Panics
    /// With the whole answer when it is not.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "refused: {self:?}");
        self
    }
}

impl Client {
    /// A client of this server; `http://` before the endpoint may be there or not. Connects at the first call.
    pub fn new(endpoint: &str, access_key_id: &str, access_key_secret: &str) -> Self {
        let endpoint = endpoint.strip_prefix("http://").unwrap_or(endpoint).trim_end_matches('/');
        Self {
            endpoint: endpoint.to_owned(),
            access_key_id: access_key_id.to_owned(),
            access_key_secret: access_key_secret.to_owned(),
            scheme: Scheme::RpcV1,
            idle: Mutex::default(),
        }
    }

    /// The same client with another default scheme.
    pub fn with_scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// Calls an operation.
    ///
    /// # Panics
    /// When no answer arrives; see [`Request::send`] for the gentle way.
    #[track_caller]
    pub fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        match self.request(action, parameters).send() {
            Ok(answer) => answer,
            Err(e) => panic!("no answer to {action}: {e}"),
        }
    }

    /// A request to be varied before it is sent.
    pub fn request(&self, action: &str, parameters: &[(&str, &str)]) -> Request<'_> {
        Request {
            client: self,
            action: action.to_owned(),
            parameters: parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            scheme: self.scheme,
            method: "POST",
            format: "JSON",
            in_body: Vec::new(),
            nonce: uuid::Uuid::new_v4().simple().to_string(),
            timestamp: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            headers: Vec::new(),
        }
    }

    /// Sends these bytes on a connection of their own and reads one answer.
    ///
    /// # Errors
    /// When the server closes without a complete answer, or is silent for 30 s.
    pub fn send_raw(&self, bytes: &[u8]) -> io::Result<Answer> {
        Connection::open(&self.endpoint)?.exchange(bytes)
    }

    /// Sends these bytes on a connection of their own, closes its sending half, and reads answers until the server closes.
    ///
    /// # Errors
    /// When it closes in the middle of an answer, or is silent for 30 s.
    pub fn send_and_close(&self, bytes: &[u8]) -> io::Result<Vec<Answer>> {
        Connection::open(&self.endpoint)?.exchange_all(bytes)
    }

    /// What a GET of a page beside the API (`/readyz`, `/metrics`) answers, on a connection of its own.
    ///
    /// # Panics
    /// When no answer arrives.
    #[track_caller]
    pub fn page(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        self.send_raw(request.as_bytes()).expect("an answer")
    }

    /// The text of `/metrics`.
    ///
    /// # Panics
    /// When no answer arrives, or it is no text.
    #[track_caller]
    pub fn metrics(&self) -> String {
        String::from_utf8(self.page("/metrics").body).expect("text")
    }

    /// A number of `/metrics`, by its name with the labels that it has there.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn figure(&self, name: &str) -> f64 {
        let text = self.metrics();
        let of = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
        text.lines().find_map(of).unwrap_or_else(|| panic!("no {name} in:\n{text}"))
    }

    /// The only version of a key.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn key_version(&self, key: &str) -> String {
        let listed = self.call("ListKeyVersions", &[("KeyId", key)]).ok();
        listed.json["KeyVersions"]["KeyVersion"][0]["KeyVersionId"].as_str().expect("a version").to_owned()
    }

    /// Sends bytes made by [`Request::bytes`] on a kept connection. Never sends twice.
    ///
    /// # Errors
    /// As [`Client::send_raw`].
    pub fn send_bytes(&self, bytes: &[u8]) -> io::Result<Answer> {
        let kept = self.idle.lock().expect("nothing panics while holding it").pop();
        let mut connection = match kept.filter(Connection::still_open) {
            Some(open) => open,
            None => Connection::open(&self.endpoint)?,
        };
        let answer = connection.exchange(bytes)?;
        if answer.header("connection").is_none_or(|v| !v.eq_ignore_ascii_case("close")) {
            self.idle.lock().expect("nothing panics while holding it").push(connection);
        }
        Ok(answer)
    }
}

/// A call in the making. Made by [`Client::request`].
#[derive(Clone)]
pub struct Request<'a> {
    client: &'a Client,
    action: String,
    parameters: Vec<(String, String)>,
    scheme: Scheme,
    method: &'static str,
    format: &'static str,
    in_body: Vec<&'static str>,
    nonce: String,
    timestamp: String,
    headers: Vec<(String, String)>,
}

impl Request<'_> {
    /// Signed this way.
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// Sent by GET instead of POST.
    pub fn get(mut self) -> Self {
        self.method = "GET";
        self
    }

    /// Asks for XML (the RPC scheme only).
    pub fn xml(mut self) -> Self {
        self.format = "XML";
        self
    }

    /// Puts these parameters in a form body instead of the query.
    pub fn in_body(mut self, names: &[&'static str]) -> Self {
        self.in_body.extend(names);
        self
    }

    /// With this nonce instead of a new one.
    pub fn nonce(mut self, nonce: &str) -> Self {
        nonce.clone_into(&mut self.nonce);
        self
    }

    /// With this time, written `2026-01-02T03:04:05Z`, instead of now.
    pub fn timestamp(mut self, timestamp: &str) -> Self {
        timestamp.clone_into(&mut self.timestamp);
        self
    }

    /// With one more header; not signed.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The request as bytes of HTTP/1.1, signed.
    pub fn bytes(&self) -> Vec<u8> {
        let (body, mut query): (Vec<_>, Vec<_>) =
            self.parameters.iter().cloned().partition(|(name, _)| self.in_body.contains(&name.as_str()));
        let body = sign::canonical_query(&body);
        let mut headers = vec![("host".to_owned(), self.client.endpoint.clone())];
        if !body.is_empty() {
            headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        }
        match self.scheme {
            Scheme::RpcV1 | Scheme::RpcRsa => self.sign_rpc(&mut query),
            Scheme::Acs3 => self.sign_acs3(&query, &body, &mut headers),
        }
        headers.extend(self.headers.iter().cloned());
        if self.method == "POST" {
            headers.push(("content-length".to_owned(), body.len().to_string()));
        }

        let query = sign::query_as_given(&query);
        let mark = if query.is_empty() { "" } else { "?" };
        let mut out = format!("{} /{mark}{query} HTTP/1.1\r\n", self.method);
        for (name, value) in &headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str("\r\n");
        out.push_str(&body);
        out.into_bytes()
    }

    /// Sends it, on a connection that is kept for the next one. Never sends twice.
    ///
    /// # Errors
    /// When no server listens, when it closes without a complete answer, when it is silent for 30 s.
    pub fn send(&self) -> io::Result<Answer> {
        self.client.send_bytes(&self.bytes())
    }

    fn sign_rpc(&self, query: &mut Vec<(String, String)>) {
        let rsa = self.scheme == Scheme::RpcRsa;
        let common = [
            ("AccessKeyId", self.client.access_key_id.as_str()),
            ("Action", &self.action),
            ("Format", self.format),
            ("SignatureMethod", if rsa { "SHA256withRSA" } else { "HMAC-SHA1" }),
            ("SignatureNonce", &self.nonce),
            ("SignatureVersion", "1.0"),
            ("Timestamp", &self.timestamp),
            ("Version", "2016-01-20"),
        ];
        let kind = rsa.then_some(("SignatureType", "PRIVATEKEY"));
        let common: Vec<_> = common.into_iter().chain(kind).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        query.extend(common.iter().cloned());
        let signed: Vec<_> = self.parameters.iter().cloned().chain(common).collect();
        let text = rpc_string_to_sign(self.method, &signed);
        let sign = if rsa { sign::rsa_signature } else { sign::rpc_signature };
        query.push(("Signature".to_owned(), sign(&self.client.access_key_secret, &text)));
    }

    fn sign_acs3(&self, query: &[(String, String)], body: &str, headers: &mut Vec<(String, String)>) {
        let more = [
            ("x-acs-action", self.action.clone()),
            ("x-acs-content-sha256", sign::sha256_hex(body.as_bytes())),
            ("x-acs-date", self.timestamp.clone()),
            ("x-acs-signature-nonce", self.nonce.clone()),
            ("x-acs-version", "2016-01-20".to_owned()),
        ];
        headers.extend(more.map(|(n, v)| (n.to_owned(), v)));
        let value = sign::acs3_authorization(
            &self.client.access_key_id,
            &self.client.access_key_secret,
            self.method,
            query,
            headers,
            body,
        );
        headers.push(("authorization".to_owned(), value));
    }
}
