//! `[vault]`: the second door.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::files::anchor;
use crate::base::ids::{AccountId, UserName};

/// Whether the API of Vault is served, and under which mounts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vault {
    /// Whether it is served.
    pub enabled: bool,
    /// The mount of KV version 2: the account's secrets.
    pub kv_mount: String,
    /// The mount of transit: the account's keys.
    pub transit_mount: String,
    /// Issuers whose JWTs log in.
    pub jwt: Vec<JwtLogin>,
    /// Client certificates that log in.
    pub certificate: Vec<CertificateLogin>,
}

/// `[[vault.jwt]]`: an issuer of JWTs; one of the three places of its keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtLogin {
    /// Where clients log in: `auth/MOUNT/login`.
    #[serde(default = "JwtLogin::default_mount")]
    pub mount: String,
    /// The claim `iss`.
    pub issuer: String,
    /// The claim `aud` has one of these.
    pub audience: Vec<String>,
    /// The URL of its JWK Set: https, or http on loopback.
    pub jwks_url: Option<String>,
    /// PEM of the authorities of that URL's server; those of the system where none is named.
    pub jwks_ca_file: Option<PathBuf>,
    /// A file with its JWK Set.
    pub jwks_file: Option<PathBuf>,
    /// A file with its public keys in PEM.
    pub public_keys_file: Option<PathBuf>,
    /// What it signs with.
    #[serde(default = "JwtLogin::default_algorithms")]
    pub algorithms: Vec<String>,
    /// By how much its clock may be off, seconds.
    #[serde(default = "JwtLogin::default_leeway_seconds")]
    pub leeway_seconds: u32,
    /// In whose names its tokens log in.
    pub role: Vec<JwtRole>,
}

/// `[[vault.jwt.role]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtRole {
    /// The role that clients name.
    pub name: String,
    /// The account for whose user it speaks.
    pub account: AccountId,
    /// The user.
    pub user: UserName,
    /// Claims, by name or JSON pointer, and the value or values of which each has to have one.
    pub bound_claims: BTreeMap<String, OneOrMore>,
}

/// `[[vault.certificate]]`: of each list that is given the certificate has to have one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateLogin {
    /// The role that clients may name.
    pub name: String,
    /// The account for whose user it speaks.
    pub account: AccountId,
    /// The user.
    pub user: UserName,
    /// Common names of the subject.
    #[serde(default)]
    pub common_names: Vec<String>,
    /// DNS names among its alternative names.
    #[serde(default)]
    pub dns_names: Vec<String>,
    /// URIs among them.
    #[serde(default)]
    pub uris: Vec<String>,
}

/// A text, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "it must be a text, or a list of texts; \"5\" and \"true\" are claims that are a number or a flag too"
)]
pub enum OneOrMore {
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

impl OneOrMore {
    /// All of them.
    pub fn to_vec(&self) -> Vec<String> {
        match self {
            OneOrMore::One(one) => vec![one.clone()],
            OneOrMore::More(more) => more.clone(),
        }
    }
}

impl JwtLogin {
    fn default_mount() -> String {
        "jwt".to_owned()
    }

    fn default_algorithms() -> Vec<String> {
        vec!["RS256".to_owned(), "ES256".to_owned()]
    }

    fn default_leeway_seconds() -> u32 {
        60
    }

    fn check(&self) -> Result<(), String> {
        let wrong = |text: &str| Err(format!("vault.jwt {:?}: {text}", self.mount));
        if !is_mount(&self.mount) || matches!(self.mount.as_str(), "approle" | "cert" | "token") {
            return wrong("mount is a name of letters, digits and _.-, and not approle, cert or token");
        }
        if self.issuer.is_empty() || self.audience.is_empty() || self.audience.contains(&String::new()) {
            return wrong("name issuer and audience: a token that is meant for others is not to log in here");
        }
        let places = [self.jwks_url.is_some(), self.jwks_file.is_some(), self.public_keys_file.is_some()];
        if places.into_iter().filter(|is| *is).count() != 1 || (self.jwks_ca_file.is_some() && self.jwks_url.is_none()) {
            return wrong("name jwks_url (with jwks_ca_file for an own authority), jwks_file or public_keys_file, one of them");
        }
        if self.leeway_seconds > 600 || self.role.is_empty() || self.algorithms.is_empty() {
            return wrong("leeway_seconds is at most 600, and there is at least one role and one algorithm");
        }
        let mut names = BTreeSet::new();
        for role in &self.role {
            let bound = role.bound_claims.iter();
            if !names.insert(&role.name) || role.name.is_empty() {
                return wrong("each role has a name of its own");
            }
            if role.bound_claims.is_empty() || bound.map(|(_, values)| values.to_vec()).any(|values| values.is_empty()) {
                return wrong(&format!(
                    "role {:?} needs bound_claims with values: else every token of the issuer has it",
                    role.name
                ));
            }
        }
        Ok(())
    }
}

fn is_mount(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) && !matches!(name, "." | "..")
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            enabled: false,
            kv_mount: "secret".to_owned(),
            transit_mount: "transit".to_owned(),
            jwt: Vec::new(),
            certificate: Vec::new(),
        }
    }
}

impl Vault {
    pub(super) fn anchor(&mut self, folder: &Path) {
        for login in &mut self.jwt {
            let files = login.jwks_ca_file.iter_mut().chain(&mut login.jwks_file).chain(&mut login.public_keys_file);
            files.for_each(|file| anchor(file, folder));
        }
    }

    /// Refuses names of mounts that no path could have, and logins that would let in more than was meant.
    ///
    /// # Errors
    /// What would be right.
    pub(super) fn check(&self) -> Result<(), String> {
        let fits = |name: &str| is_mount(name) && !matches!(name, "sys" | "auth");
        let mut mounts = BTreeSet::new();
        for login in &self.jwt {
            login.check()?;
            if !mounts.insert(&login.mount) {
                return Err(format!("vault.jwt {:?}: each issuer has a mount of its own", login.mount));
            }
        }
        let mut names = BTreeSet::new();
        for login in &self.certificate {
            let wrong = |text: &str| Err(format!("vault.certificate {:?}: {text}", login.name));
            if login.name.is_empty() || !names.insert(&login.name) {
                return wrong("each has a name of its own");
            }
            if login.common_names.is_empty() && login.dns_names.is_empty() && login.uris.is_empty() {
                return wrong("it needs common_names, dns_names or uris: else every certificate has it");
            }
        }
        if [&self.kv_mount, &self.transit_mount].into_iter().all(|name| fits(name)) && self.kv_mount != self.transit_mount {
            return Ok(());
        }
        Err("vault: kv_mount and transit_mount are two names of letters, digits and _.-, and not sys or auth".to_owned())
    }
}
