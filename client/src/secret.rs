//! What must not be seen: no Debug of the content, no Clone, no Serialize; wiped when dropped.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A value: of a secret, or a plaintext.
pub struct Value(Zeroizing<Vec<u8>>);

impl Value {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, where they are UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Base64 of the bytes (the standard alphabet, padded), as the API writes binary values.
    pub fn to_base64(&self) -> Self {
        Self::new(STANDARD.encode(&*self.0).into_bytes())
    }

    /// The bytes that this text stands for; none where it is no Base64.
    pub fn from_base64(&self) -> Option<Self> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.0.len()));
        STANDARD.decode_vec(&*self.0, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

/// Base64, as the API takes bytes.
pub(crate) fn base64(bytes: &Value) -> String {
    bytes.to_base64().text().unwrap_or_default().to_owned()
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self::new(String::deserialize(d)?.into_bytes()))
    }
}

/// An access key: whom requests are from, and what they are signed with.
pub struct AccessKey {
    /// The public half.
    pub id: String,
    secret: Zeroizing<Vec<u8>>,
}

impl AccessKey {
    /// Takes both halves over.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), secret: Zeroizing::new(secret.into().into_bytes()) }
    }

    /// The secret half.
    pub fn expose(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(..)")
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKey({})", self.id)
    }
}
