//! One call: signed, sent, tried again.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::{Error, Refused, clock_ahead};
use crate::secret::AccessKey;
use crate::sign::{self, Acs3, Scheme};
use crate::transport::{Answer, Settings, Transport, host_of};

/// Version of the API.
const VERSION: &str = "2016-01-20";

/// The longest that a server may make a client wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The first wait where the server names none; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// A server, and the access key that calls it.
pub struct Client {
    pub(crate) transport: Transport,
    endpoint: String,
    host: String,
    access_key: AccessKey,
    scheme: Scheme,
    attempts: u32,
}

/// How a client is to be. Made by [`Client::builder`].
pub struct Builder {
    endpoint: String,
    access_key: Option<AccessKey>,
    scheme: Scheme,
    attempts: u32,
    settings: Settings,
    /// The first file that could not be read.
    fault: Option<Error>,
}

/// An operation and its parameters.
pub struct Request {
    pub(crate) action: &'static str,
    parameters: Vec<(&'static str, Zeroizing<String>)>,
    once: bool,
}

impl Request {
    /// An operation without parameters.
    pub fn new(action: &'static str) -> Self {
        Self { action, parameters: Vec::new(), once: false }
    }

    /// With one more parameter.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.parameters.push((name, Zeroizing::new(value.into())));
        self
    }

    /// With one more parameter, where there is a value.
    pub fn maybe(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Never sent again where the server may have done it: twice would be wrong.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }
}

impl Builder {
    /// Who calls. There is no anonymous call.
    pub fn access_key(mut self, access_key: AccessKey) -> Self {
        self.access_key = Some(access_key);
        self
    }

    /// How requests are signed; ACS3 where nothing is said.
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// The file (PEM) of the authorities that may have signed the server's certificate; those of the system where nothing is said.
    pub fn ca_file(mut self, file: impl AsRef<Path>) -> Self {
        self.settings.authorities = self.read(file.as_ref());
        self
    }

    /// The files (PEM) of the client's certificate and its key.
    pub fn client_certificate(mut self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        let (certificate, key) = (self.read(certificate.as_ref()), self.read(key.as_ref()));
        self.settings.identity = certificate.zip(key.map(Zeroizing::new));
        self
    }

    /// How long one attempt may take, from connecting to the answer's end; 30 s where nothing is said.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// How long connecting may take; 5 s where nothing is said.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// How often a call is tried at most; 4 where nothing is said.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    fn read(&mut self, file: &Path) -> Option<Vec<u8>> {
        let read = std::fs::read(file).map_err(|e| Error::Settings(format!("{}: {e}", file.display())));
        match read {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.fault.get_or_insert(error);
                None
            }
        }
    }

    /// Connects at the first call.
    ///
    /// # Errors
    /// [`Error::Settings`] when the endpoint or a file is not as it should be, or there is no access key.
    pub fn build(self) -> Result<Client, Error> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let endpoint = self.endpoint.trim_end_matches('/').to_owned();
        let host = host_header(&endpoint, host_of(&endpoint)?);
        let access_key = self.access_key.ok_or_else(|| Error::Settings("no access key".to_owned()))?;
        // It stands in a header, before a comma.
        if access_key.id.is_empty() || !access_key.id.chars().all(|c| c.is_ascii_graphic() && c != ',') {
            return Err(Error::Settings(format!(
                "{:?} is no access key's id: letters and digits, as Bulla gave it",
                access_key.id
            )));
        }
        let transport = Transport::new(&endpoint, &self.settings)?;
        Ok(Client { transport, endpoint, host, access_key, scheme: self.scheme, attempts: self.attempts })
    }
}

/// The header Host as it is sent: without the port where it is the scheme's own.
fn host_header(endpoint: &str, host: &str) -> String {
    let usual = if endpoint.starts_with("https://") { ":443" } else { ":80" };
    host.strip_suffix(usual).unwrap_or(host).to_owned()
}

impl Client {
    /// A client of this server, in the making: `https://HOST:PORT`, or `http://HOST:PORT`.
    pub fn builder(endpoint: &str) -> Builder {
        Builder {
            endpoint: endpoint.to_owned(),
            access_key: None,
            scheme: Scheme::default(),
            attempts: 4,
            settings: Settings::default(),
            fault: None,
        }
    }

    /// Where it calls.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The public half of the access key.
    pub fn access_key_id(&self) -> &str {
        &self.access_key.id
    }

    /// Calls an operation and reads its answer.
    ///
    /// # Errors
    /// What the server answered instead, or why there is no answer, after the last attempt.
    pub fn call<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Error> {
        let body = self.answer(request)?;
        // The parser's words can quote what it read.
        serde_json::from_slice(&body).map_err(|e| Error::Answer {
            action: request.action.to_owned(),
            reason: format!("line {}, column {}", e.line(), e.column()),
        })
    }

    /// Calls an operation whose answer says no more than that it is done.
    ///
    /// # Errors
    /// As [`Client::call`]; also where the answer has not what each answer of this API has, a request's id: then nobody knows whether it is
    /// done.
    pub fn run(&self, request: &Request) -> Result<(), Error> {
        self.call::<Done>(request).map(drop)
    }

    /// Calls an operation that changes a secret, and whose answer says which, and which version of it where it makes one.
    ///
    /// # Errors
    /// As [`Client::run`]; also where the answer is about another secret or version than was asked for.
    pub(crate) fn change(&self, request: &Request, name: &str, version: Option<&str>) -> Result<Changed, Error> {
        let changed: Changed = self.call(request)?;
        let about_another =
            |what: &str| Error::Answer { action: request.action.to_owned(), reason: format!("it is about another {what}") };
        // A secret that was named by its ARN is answered by its name.
        if changed.secret_name != name && !name.ends_with(&format!(":secret/{}", changed.secret_name)) {
            return Err(about_another("secret"));
        }
        match version {
            Some(version) if changed.version_id.as_deref() != Some(version) => Err(about_another("version")),
            _ => Ok(changed),
        }
    }

    /// The answer's text.
    fn answer(&self, request: &Request) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut after_lost = false;
        let mut tried = 1;
        loop {
            let (error, asked_for) = match self.attempt(request) {
                Ok(answer) if answer.status == 200 => return Ok(answer.body),
                Ok(answer) => {
                    let mut refused = self.refused(request.action, &answer);
                    refused.after_lost = after_lost;
                    let wait = matches!(answer.status, 429 | 502..=504).then(|| answer.retry_after.map(Duration::from_secs));
                    // 503 can also say that it was done and could not be recorded; 502 and 504, that who stands in between does not know.
                    let again = answer.status == 429 || !request.once;
                    after_lost |= matches!(answer.status, 502..=504);
                    (Error::Refused(Box::new(refused)), wait.filter(|_| again))
                }
                Err(error @ Error::Unreachable { .. }) => (error, Some(None)),
                Err(error @ Error::Lost { .. }) => {
                    after_lost = true;
                    (error, (!request.once).then_some(None))
                }
                Err(error) => return Err(error),
            };
            let Some(wait) = asked_for.filter(|_| tried < self.attempts) else { return Err(error) };
            std::thread::sleep(pause(tried, wait));
            tried += 1;
        }
    }

    /// Signs and sends once, with a nonce and a time of its own.
    fn attempt(&self, request: &Request) -> Result<Answer, Error> {
        let nonce = Uuid::new_v4().simple().to_string();
        let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let parameters: Vec<(&str, &str)> = request.parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
        match self.scheme {
            Scheme::Rpc => self.attempt_rpc(request.action, &parameters, &nonce, &time),
            Scheme::Acs3 => self.attempt_acs3(request.action, &parameters, &nonce, &time),
        }
    }

    fn attempt_rpc(&self, action: &str, parameters: &[(&str, &str)], nonce: &str, time: &str) -> Result<Answer, Error> {
        let common = [
            ("AccessKeyId", self.access_key.id.as_str()),
            ("Action", action),
            ("Format", "JSON"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", nonce),
            ("SignatureVersion", "1.0"),
            ("Timestamp", time),
            ("Version", VERSION),
        ];
        let mut all: Vec<(&str, &str)> = common.into_iter().chain(parameters.iter().copied()).collect();
        let signature = sign::rpc_signature(self.access_key.expose(), &sign::rpc_string_to_sign("POST", &all));
        all.push(("Signature", &signature));
        self.transport.exchange(action, "/", &[("content-type", FORM)], Some(sign::form(&all).as_bytes()))
    }

    fn attempt_acs3(&self, action: &str, parameters: &[(&str, &str)], nonce: &str, time: &str) -> Result<Answer, Error> {
        let body = sign::form(parameters);
        let hash = sign::sha256_hex(body.as_bytes());
        let mut headers = vec![
            ("content-type", FORM),
            ("host", self.host.as_str()),
            ("x-acs-action", action),
            ("x-acs-content-sha256", &hash),
            ("x-acs-date", time),
            ("x-acs-signature-nonce", nonce),
            ("x-acs-version", VERSION),
        ];
        let request = Acs3 { method: "POST", query: &[], headers: &headers, body: body.as_bytes() };
        let authorization = request.authorization(&self.access_key.id, self.access_key.expose());
        headers.push(("authorization", &authorization));
        self.transport.exchange(action, "/", &headers, Some(body.as_bytes()))
    }

    fn refused(&self, action: &str, answer: &Answer) -> Refused {
        let said: Said = serde_json::from_slice(&answer.body).unwrap_or_default();
        let denied = said.access_denied_detail.unwrap_or_default();
        Refused {
            action: action.to_owned(),
            status: answer.status,
            message: match said.code.is_empty() {
                // What a proxy says, or the first words of it.
                true => String::from_utf8_lossy(&answer.body).lines().next().unwrap_or_default().chars().take(200).collect(),
                false => said.message,
            },
            code: said.code,
            request_id: said.request_id,
            auth_action: denied.auth_action,
            auth_principal: denied.auth_principal_display_name,
            access_key_id: self.access_key.id.clone(),
            clock_ahead: answer.date.as_deref().and_then(clock_ahead),
            after_lost: false,
        }
    }
}

/// The type of every body.
const FORM: &str = "application/x-www-form-urlencoded";

/// What each answer has that says that something is done.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Done {
    #[serde(rename = "RequestId")]
    _request_id: String,
}

/// The same of a change of a secret.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Changed {
    #[serde(rename = "RequestId")]
    _request_id: String,
    secret_name: String,
    version_id: Option<String>,
    pub(crate) planned_delete_time: Option<String>,
}

/// An error as the API writes it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Said {
    code: String,
    message: String,
    request_id: Option<String>,
    access_denied_detail: Option<Denied>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Denied {
    auth_action: Option<String>,
    auth_principal_display_name: Option<String>,
}

/// The wait after this many attempts: what the server asks for, within bounds; else doubled each time, and a random quarter more, so that
/// many clients do not come back at once.
pub(crate) fn pause(tried: u32, asked_for: Option<Duration>) -> Duration {
    let base = FIRST_WAIT * 2u32.saturating_pow(tried.saturating_sub(1).min(6));
    let own = base + base / 4 * u32::from(Uuid::new_v4().as_bytes()[0]) / 255;
    asked_for.unwrap_or(own).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests;
