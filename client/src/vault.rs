//! Secrets read from a server of Vault's API (HashiCorp Vault, OpenBao, Bulla's second door): KV version 2, the current versions, and
//! nothing else. For who moves.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::client::pause;
use crate::error::{Error, Refused};
use crate::secret::Value;
use crate::sign::percent_encode;
use crate::transport::{Answer, Settings, Transport, host_of};

/// How often a call is tried at most: for about a minute.
const ATTEMPTS: u32 = 10;

/// A mount of KV version 2, and who reads there.
pub struct Mount {
    transport: Transport,
    mount: String,
    token: Zeroizing<String>,
    namespace: Option<String>,
}

/// The current version of a secret.
pub struct KvSecret {
    /// Its members: the text of a JSON object, as the server wrote it.
    pub data: Value,
    /// What its owner says of it.
    pub custom_metadata: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Wrapped<T> {
    data: T,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<String>,
}

#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    custom_metadata: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct MountFacts {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    options: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    errors: Vec<String>,
}

impl Mount {
    /// A mount (`secret`) of the server at `https://HOST:PORT`, read with this token; in a namespace, where the server has them. The server's
    /// certificate is signed by an authority of this file (PEM), else by one that the system trusts.
    ///
    /// # Errors
    /// [`Error::Settings`] when the address, the mount or the file is not as it should be.
    pub fn new(
        address: &str,
        mount: &str,
        token: Zeroizing<String>,
        namespace: Option<String>,
        ca_file: Option<&Path>,
    ) -> Result<Self, Error> {
        let address = address.trim_end_matches('/');
        host_of(address)?;
        let mount = mount.trim_matches('/').to_owned();
        if mount.is_empty() {
            return Err(Error::Settings("the mount has no name: secret, for example".to_owned()));
        }
        if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
            return Err(Error::Settings("the token is none: visible ASCII, without spaces".to_owned()));
        }
        let read = |file: &Path| std::fs::read(file).map_err(|e| Error::Settings(format!("{}: {e}", file.display())));
        let settings = Settings {
            authorities: ca_file.map(read).transpose()?,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            ..Settings::default()
        };
        Ok(Self { transport: Transport::new(address, &settings)?, mount, token, namespace })
    }

    /// Whether the mount is of KV version 2, as far as this token may ask: none where it may not.
    ///
    /// # Errors
    /// Of the connection.
    pub fn is_version_2(&self) -> Result<Option<bool>, Error> {
        let Some(answer) = self.get(&format!("sys/internal/ui/mounts/{}", encoded(&self.mount)), &[403, 404])? else {
            return Ok(None);
        };
        let facts: Wrapped<MountFacts> = parsed("sys/internal/ui/mounts", &answer)?;
        let version = facts.data.options.and_then(|options| options.get("version").cloned());
        Ok(Some(facts.data.kind == "kv" && version.as_deref() == Some("2")))
    }

    /// The names of one level: those that end with a slash have names below them. None where there is no such level.
    ///
    /// # Errors
    /// What the server answered instead, or why there is no answer, after the last attempt.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let path = format!("{}/metadata/{}?list=true", encoded(&self.mount), encoded(folder));
        match self.get(&path, &[404])? {
            None => Ok(Vec::new()),
            Some(answer) => Ok(parsed::<Wrapped<Keys>>("list", &answer)?.data.keys),
        }
    }

    /// The current version; none where it is deleted or destroyed, or there is no such secret.
    ///
    /// # Errors
    /// As [`Mount::list`].
    pub fn read(&self, name: &str) -> Result<Option<KvSecret>, Error> {
        let Some(answer) = self.get(&format!("{}/data/{}", encoded(&self.mount), encoded(name)), &[404])? else {
            return Ok(None);
        };
        let read: Wrapped<Read<'_>> = parsed("read", &answer)?;
        // A deleted version is answered with 200 by some.
        let Some(data) = read.data.data.filter(|data| data.get() != "null") else { return Ok(None) };
        let custom_metadata = read.data.metadata.custom_metadata.unwrap_or_default().into_iter().collect();
        Ok(Some(KvSecret { data: Value::new(data.get().as_bytes().to_vec()), custom_metadata }))
    }

    /// The answer to a question; none where its status is one of these.
    fn get(&self, path: &str, absent: &[u16]) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let mut headers = vec![("x-vault-token", self.token.as_str()), ("x-vault-request", "true")];
        headers.extend(self.namespace.as_deref().map(|namespace| ("x-vault-namespace", namespace)));
        let mut tried = 1;
        loop {
            let (error, wait) = match self.transport.exchange("GET", &format!("/v1/{path}"), &headers, None) {
                Ok(answer) if answer.status == 200 => return Ok(Some(answer.body)),
                Ok(answer) if absent.contains(&answer.status) => {
                    return match absence(&answer) {
                        Absence::Thing => Ok(None),
                        Absence::Route => Err(refused(&answer)),
                        Absence::Api => Err(another_api(path)),
                    };
                }
                Ok(answer) if answer.status == 429 || answer.status >= 500 => {
                    (refused(&answer), answer.retry_after.map(Duration::from_secs))
                }
                Ok(answer) => return Err(refused(&answer)),
                Err(error @ (Error::Unreachable { .. } | Error::Lost { .. })) => (error, None),
                Err(error) => return Err(error),
            };
            if tried >= ATTEMPTS {
                return Err(error);
            }
            thread::sleep(pause(tried, wait));
            tried += 1;
        }
    }
}

/// A path as it stands in an address: its slashes stay.
fn encoded(path: &str) -> String {
    path.split('/').map(|part| percent_encode(part).to_string()).collect::<Vec<_>>().join("/")
}

fn parsed<'a, T: Deserialize<'a>>(what: &str, body: &'a [u8]) -> Result<T, Error> {
    // The parser's words can quote what it read.
    serde_json::from_slice(body)
        .map_err(|e| Error::Answer { action: what.to_owned(), reason: format!("line {}, column {}", e.line(), e.column()) })
}

/// What an answer says is not there.
enum Absence {
    /// A name or a level: an empty list of errors, or what is known of a deleted version.
    Thing,
    /// A mount: words about it.
    Route,
    /// Nobody knows: an answer of Vault's API has one of these.
    Api,
}

fn absence(answer: &Answer) -> Absence {
    #[derive(Deserialize)]
    struct Members {
        errors: Option<Vec<String>>,
        data: Option<IgnoredAny>,
    }
    match serde_json::from_slice(&answer.body) {
        Ok(Members { errors: Some(errors), .. }) if !errors.is_empty() => Absence::Route,
        Ok(Members { errors: None, data: None }) | Err(_) => Absence::Api,
        Ok(_) => Absence::Thing,
    }
}

fn another_api(path: &str) -> Error {
    Error::Answer { action: path.to_owned(), reason: "the server does not speak Vault's API".to_owned() }
}

fn refused(answer: &Answer) -> Error {
    let said = serde_json::from_slice::<Said>(&answer.body).map(|said| said.errors.join("; ")).unwrap_or_default();
    Error::Refused(Box::new(Refused {
        action: "GET".to_owned(),
        status: answer.status,
        message: said.split_whitespace().collect::<Vec<_>>().join(" "),
        ..Refused::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{answer, serving};

    fn mount(endpoint: &str) -> Mount {
        Mount::new(endpoint, "/team/kv/", Zeroizing::new("s.t0ken".to_owned()), Some("ns".to_owned()), None).expect("sound")
    }

    #[test]
    fn what_is_there_is_read_as_it_was_written() {
        let read = r#"{"request_id":"r","data":{"data":{"b":1e3,"a":"x\u00fc"},"metadata":{"custom_metadata":{"team":"blue"},"version":3}}}"#;
        let deleted = r#"{"data":{"data":null,"metadata":{"custom_metadata":null,"deletion_time":"2026-01-01T00:00:00Z"}}}"#;
        let (endpoint, asked) = serving(vec![
            answer("200 OK", "", r#"{"data":{"keys":["a","b/"]}}"#),
            answer("503 Service Unavailable", "Retry-After: 0\r\n", r#"{"errors":["sealed"]}"#),
            answer("200 OK", "", read),
            answer("404 Not Found", "", deleted),
            answer("200 OK", "", deleted),
        ]);
        let mount = mount(&endpoint);
        assert_eq!(mount.list("app/").expect("listed"), ["a", "b/"]);
        let secret = mount.read("app/a b").expect("read").expect("there");
        assert_eq!(secret.data.text(), Some(r#"{"b":1e3,"a":"x\u00fc"}"#));
        assert_eq!(secret.custom_metadata, [("team".to_owned(), "blue".to_owned())]);
        assert!(mount.read("d").expect("read").is_none());
        assert!(mount.read("d").expect("read").is_none());
        let asked: Vec<String> = asked.try_iter().collect();
        assert!(asked[0].starts_with("GET /v1/team/kv/metadata/app/?list=true HTTP/1.1\r\n"), "{}", asked[0]);
        assert!(asked[1].starts_with("GET /v1/team/kv/data/app/a%20b HTTP/1.1\r\n"), "{}", asked[1]);
        let head = asked[0].to_lowercase();
        assert!(head.contains("x-vault-token: s.t0ken\r\n") && head.contains("x-vault-namespace: ns\r\n"), "{head}");
    }

    #[test]
    fn a_server_of_another_api_is_not_one_without_secrets() {
        let none = answer("404 Not Found", "", r#"{"errors":[]}"#);
        let ours = answer("404 Not Found", "", r#"{"Code":"InvalidApi.NotFound","Message":"The API is not found."}"#);
        let page = answer("404 Not Found", "", "<html>not found</html>");
        let other =
            answer("404 Not Found", "", r#"{"errors":["no handler for route \"team/kv/metadata/\". route entry not found."]}"#);
        let (endpoint, _asked) = serving(vec![other, none.clone(), none, ours, page.clone(), page]);
        let mount = mount(&endpoint);
        let error = mount.list("").expect_err("another mount").to_string();
        assert!(error.starts_with("the server answered 404: no handler for route"), "{error}");
        assert_eq!(mount.is_version_2().expect("Vault's"), None);
        assert_eq!(mount.list("app/").expect("Vault's"), [""; 0]);
        for failure in [mount.is_version_2().map(drop), mount.list("").map(drop), mount.read("a").map(drop)] {
            assert!(matches!(&failure, Err(Error::Answer { reason, .. }) if reason.contains("Vault's API")), "{failure:?}");
        }
    }

    #[test]
    fn what_is_refused_is_said_without_the_answer_s_content() {
        let denied = answer("403 Forbidden", "", r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#);
        let odd = answer("200 OK", "", r#"{"data":{"data":"s3cret"#);
        let (endpoint, _asked) = serving(vec![denied, odd]);
        let mount = mount(&endpoint);
        let error = mount.list("").expect_err("denied");
        assert_eq!(error.refused().map(|refused| refused.status), Some(403));
        assert!(error.to_string().contains("1 error occurred: * permission denied"), "{error}");
        let error = mount.read("a").map(drop).expect_err("no JSON").to_string();
        assert!(!error.contains("s3cret"), "{error}");
        for (address, mount) in [("vault:8200", "secret"), ("https://h/v1", "secret"), ("https://h", "/")] {
            let made = Mount::new(address, mount, Zeroizing::new("t".to_owned()), None, None);
            assert!(matches!(made, Err(Error::Settings(_))), "{address} {mount}");
        }
    }
}
