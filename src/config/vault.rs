//! `[vault]`: the second door.

use serde::Deserialize;

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
}

impl Default for Vault {
    fn default() -> Self {
        Self { enabled: false, kv_mount: "secret".to_owned(), transit_mount: "transit".to_owned() }
    }
}

impl Vault {
    /// Refuses names of mounts that no path could have.
    ///
    /// # Errors
    /// What would be right.
    pub(super) fn check(&self) -> Result<(), String> {
        let fits = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
                && !matches!(name, "sys" | "auth" | "." | "..")
        };
        if [&self.kv_mount, &self.transit_mount].into_iter().all(|name| fits(name)) && self.kv_mount != self.transit_mount {
            return Ok(());
        }
        Err("vault: kv_mount and transit_mount are two names of letters, digits and _.-, and not sys or auth".to_owned())
    }
}
