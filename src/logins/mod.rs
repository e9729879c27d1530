//! Proofs of others that let a caller in: tokens that an issuer has signed (JWT), and client certificates.
//!
//! Owns: which proof speaks for which user, and asking issuers for their keys; nothing else asks them. Must not know: users' rows, what
//! a login gives. Called by: auth; app builds it.
//!
//! | file | answers |
//! |---|---|
//! | `options.rs` | what can be set, and why a login fails |
//! | `jwt.rs`, `claims.rs` | whether a JWT is an issuer's and meant for us; whether it has what a role asks for |
//! | `keys.rs`, `source.rs` | an issuer's keys: kept, and asked for again in time; where they come from |
//! | `certificate.rs` | whom a client certificate names |

mod certificate;
mod claims;
mod jwt;
mod keys;
mod options;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

pub use options::{Algorithm, CertificateRole, Issuer, JwtRole, KeysFrom, LoginError, Options, Speaks};

use crate::base::clock::Timestamp;
use jwt::Jwts;

/// The mount of logins by client certificate.
pub const CERTIFICATES: &str = "cert";

/// All logins that are configured. Clones are of one list.
#[derive(Clone, Default)]
pub struct Logins(Arc<RwLock<Arc<List>>>);

#[derive(Default)]
struct List {
    /// By mount.
    issuers: BTreeMap<String, Arc<Jwts>>,
    certificates: Vec<CertificateRole>,
}

impl Logins {
    /// These logins. Issuers are asked for their keys at the first login.
    ///
    /// # Errors
    /// What is wrong with a file of keys.
    pub fn new(options: Options) -> Result<Self, String> {
        let logins = Self::default();
        logins.replace(options)?;
        Ok(logins)
    }

    /// From now on these logins. Issuers that are as they were keep the keys that are known of them.
    ///
    /// # Errors
    /// As [`Logins::new`]; then those before stay.
    pub fn replace(&self, options: Options) -> Result<(), String> {
        let before = Arc::clone(&self.0.read());
        let mut issuers = BTreeMap::new();
        for issuer in options.issuers {
            let same = before.issuers.get(&issuer.mount).filter(|known| known.is(&issuer)).cloned();
            let jwts = match same {
                Some(same) => same,
                None => Arc::new(Jwts::new(issuer).map_err(|(mount, reason)| format!("auth/{mount}: {reason}"))?),
            };
            issuers.insert(jwts.mount().to_owned(), jwts);
        }
        *self.0.write() = Arc::new(List { issuers, certificates: options.certificates });
        Ok(())
    }

    /// Whether logins with a JWT are served under this mount.
    pub fn takes_jwt(&self, mount: &str) -> bool {
        self.0.read().issuers.contains_key(mount)
    }

    /// Whether logins with a client certificate are served.
    pub fn takes_certificates(&self) -> bool {
        !self.0.read().certificates.is_empty()
    }

    /// For whom a JWT speaks in a role of a mount.
    ///
    /// # Errors
    /// [`LoginError`].
    pub fn by_jwt(&self, mount: &str, role: &str, jwt: &str, now: Timestamp) -> Result<Speaks, LoginError> {
        let issuer = self.0.read().issuers.get(mount).cloned();
        let issuer = issuer.ok_or_else(|| LoginError::Refused("no such login".to_owned()))?;
        issuer.speaks(role, jwt, now)
    }

    /// For whom a client certificate speaks, in DER, which the handshake has proved to lead to a root of ours; in the role of this name, or
    /// the first that it fits.
    ///
    /// # Errors
    /// [`LoginError::Refused`].
    pub fn by_certificate(&self, role: Option<&str>, certificate: &[u8], now: Timestamp) -> Result<Speaks, LoginError> {
        let list = Arc::clone(&self.0.read());
        certificate::speaks(&list.certificates, role, certificate, now)
    }

    /// Every user that a login gives a token of, with the login's name.
    pub fn speaks(&self) -> Vec<(String, Speaks)> {
        let list = Arc::clone(&self.0.read());
        let by_jwt = list.issuers.values().flat_map(|issuer| {
            issuer.roles().iter().map(|role| (format!("auth/{} role {:?}", issuer.mount(), role.name), role.speaks.clone()))
        });
        let by_certificate =
            list.certificates.iter().map(|role| (format!("auth/{CERTIFICATES} role {:?}", role.name), role.speaks.clone()));
        by_jwt.chain(by_certificate).collect()
    }

    /// Asks every issuer for its keys: how many it has, or why they cannot be had, by mount.
    pub fn health(&self) -> Vec<(String, Result<usize, String>)> {
        let list = Arc::clone(&self.0.read());
        list.issuers.iter().map(|(mount, issuer)| (mount.clone(), issuer.health())).collect()
    }
}
