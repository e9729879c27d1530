//! The files that client keys leave in.
//!
//! Owns: `[client_keys]`. Must not know: PKCS #12. Read by app.

use serde::Deserialize;

use crate::base::words::ClientKeyCipher;

/// `[client_keys]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientKeys {
    /// What protects the PKCS #12 file of a client key: `3des`, which every official client opens, or `aes-256`.
    pub cipher: ClientKeyCipher,
}

impl Default for ClientKeys {
    fn default() -> Self {
        Self { cipher: ClientKeyCipher::TripleDes }
    }
}
