//! Where an issuer's public keys come from, and their forms.
//!
//! Owns: reading a JWK Set (RFC 7517) and public keys in PEM. Must not know: how long keys are kept. Called by: keys.

use std::path::Path;
use std::time::Duration;

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use x509_cert::der::Decode;
use x509_cert::spki::{ObjectIdentifier, SubjectPublicKeyInfoOwned};

use crate::base::host::is_loopback;
use crate::base::regular;
use crate::logins::options::KeysFrom;

/// How long an issuer may take to give its keys.
pub(super) const FETCH: Duration = Duration::from_secs(3);

/// A set of keys is never longer, bytes.
const MAX_SET_BYTES: u64 = 1 << 20;

/// Keys of one set that are looked at.
const MAX_KEYS: usize = 100;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A public key.
pub(super) struct Key {
    /// What its issuer calls it.
    pub id: Option<String>,
    /// The one algorithm that it is for, where its issuer says so.
    pub only: Option<Algorithm>,
    /// The key.
    pub decoding: DecodingKey,
}

impl Key {
    /// Whether it may verify what says that it is signed with this algorithm, by the key of this id.
    pub fn is_for(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        self.decoding.family() == algorithm.family()
            && self.only.is_none_or(|only| only == algorithm)
            && (id.is_none() || self.id.is_none() || self.id.as_deref() == id)
    }
}

impl KeysFrom {
    /// Reads the keys.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn load(&self) -> Result<Vec<Key>, String> {
        match self {
            KeysFrom::File(file) => set(&read(file)?).map_err(|e| format!("{}: {e}", file.display())),
            KeysFrom::Pem(file) => pem(&read(file)?).map_err(|e| format!("{}: {e}", file.display())),
            KeysFrom::Url { url, authorities } => {
                let authorities = authorities.as_deref().map(read).transpose()?;
                match bulla_client::page(url, authorities, FETCH, MAX_SET_BYTES).map_err(|e| format!("{url}: {e}"))? {
                    (200, page) => set(&page).map_err(|e| format!("{url}: {e}")),
                    (status, _) => Err(format!("{url}: its status is {status}")),
                }
            }
        }
    }

    /// Whether reading it costs a request to somebody else.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self, KeysFrom::Url { .. })
    }

    /// Whether what comes from there is what its owner sent.
    pub(super) fn is_safe(&self) -> bool {
        let KeysFrom::Url { url, .. } = self else { return true };
        let Some(rest) = url.strip_prefix("http://") else { return url.starts_with("https://") };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return false;
        }
        let host = match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
        };
        is_loopback(host)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    regular::read(file).map_err(|e| e.to_string())
}

/// The keys of a JWK Set. Those that cannot sign what we take are passed over: a set may hold keys for others.
fn set(text: &[u8]) -> Result<Vec<Key>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set =
        serde_json::from_slice(text).map_err(|e| format!("no JWK Set at line {}, column {}", e.line(), e.column()))?;
    let keys: Vec<Key> = set.keys.into_iter().take(MAX_KEYS).filter_map(of_jwk).collect();
    if keys.is_empty() { Err("no public RSA, EC or Ed25519 key for signatures in it".to_owned()) } else { Ok(keys) }
}

fn of_jwk(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    let only = jwk.common.key_algorithm.map(|name| name.to_string().parse());
    let decoding = DecodingKey::from_jwk(&jwk).ok().filter(|key| key.family() != AlgorithmFamily::Hmac)?;
    Some(Key { id: jwk.common.key_id, only: only.transpose().ok()?, decoding })
}

/// Public keys in PEM.
fn pem(text: &[u8]) -> Result<Vec<Key>, String> {
    const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
    let text = std::str::from_utf8(text).map_err(|_| "no text")?;
    let parts = text.match_indices(BEGIN).map(|(at, _)| &text[at..]).take(MAX_KEYS);
    let keys: Vec<Key> = parts.map(of_pem).collect::<Result<_, _>>()?;
    if keys.is_empty() { Err(format!("no {BEGIN} in it")) } else { Ok(keys) }
}

fn of_pem(text: &str) -> Result<Key, String> {
    const END: &str = "-----END PUBLIC KEY-----";
    let end = text.find(END).ok_or("a public key without its end")?;
    let (_, der) = x509_cert::der::pem::decode_vec(&text.as_bytes()[..end + END.len()]).map_err(|e| e.to_string())?;
    let info = SubjectPublicKeyInfoOwned::from_der(&der).map_err(|e| e.to_string())?;
    let bits = info.subject_public_key.raw_bytes();
    let decoding = match info.algorithm.oid {
        RSA => DecodingKey::from_rsa_der(bits),
        EC => DecodingKey::from_ec_der(bits),
        ED25519 => DecodingKey::from_ed_der(bits),
        other => return Err(format!("a key of kind {other}; RSA, EC and Ed25519 can sign JWTs")),
    };
    Ok(Key { id: None, only: None, decoding })
}
