//! Parameters of cryptographic operations.
//!
//! Owns: their grammar and bounds. Must not know: what is done with them. Used by: the operations beside it.
//! Sources: the pages of Encrypt, Decrypt, GenerateDataKey (limits) and of EncryptionContext.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::api::fields::Bounded;
use crate::base::field::Field;
use crate::base::public_key::Digest32;
use crate::base::secret::Plaintext;
use crate::base::words::DataKeySpec;
use crate::keys::{A_BLOB, Blob, EncryptionContext};

/// Bytes, as Base64 in the request or the answer.
#[derive(Debug)]
pub struct Base64(pub Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match STANDARD.decode(text) {
            Ok(bytes) if !bytes.is_empty() => Ok(Self(bytes)),
            _ => Err(de::Error::custom("bytes in Base64")),
        }
    }
}

/// Secret bytes, as Base64 in the request.
pub struct SecretBytes(pub Plaintext);

impl<'de> Deserialize<'de> for SecretBytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Plaintext::deserialize(d)?.from_base64() {
            Some(bytes) if !bytes.expose().is_empty() => Ok(Self(bytes)),
            _ => Err(de::Error::custom("bytes in Base64")),
        }
    }
}

/// Digest of AsymmetricSign and AsymmetricVerify: 32 bytes, the SHA-256 of the message, in Base64.
#[derive(Debug)]
pub struct Digest(pub Digest32);

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let Base64(bytes) = Base64::deserialize(d)?;
        bytes.try_into().map(Self).map_err(|_| de::Error::custom("32 bytes in Base64"))
    }
}

/// CiphertextBlob of a symmetric key.
#[derive(Debug)]
pub struct CiphertextBlob(pub Blob);

impl<'de> Deserialize<'de> for CiphertextBlob {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let Base64(bytes) = Base64::deserialize(d)?;
        Blob::parse(&bytes).map(Self).ok_or_else(|| de::Error::custom(A_BLOB.spelled(Field::name)))
    }
}

/// Encrypt's Plaintext. The page says Base64 and the limit counts what that stands for; but any text is taken and given back by
/// Decrypt as it is, as callers expect.
pub struct PlainText(pub Plaintext);

impl PlainText {
    /// Bytes, after Base64 is undone where the text is Base64 (Encrypt: 6 KB).
    const MAX_BYTES: usize = 6144;
}

impl<'de> Deserialize<'de> for PlainText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Plaintext::deserialize(d)?;
        let decoded = || text.from_base64().is_some_and(|bytes| bytes.expose().len() <= Self::MAX_BYTES);
        let fits = |length| length <= Self::MAX_BYTES || (length <= Self::MAX_BYTES / 3 * 4 && decoded());
        match text.expose().len() {
            1.. if fits(text.expose().len()) => Ok(Self(text)),
            _ => Err(de::Error::custom("1 to 6144 bytes")),
        }
    }
}

/// EncryptionContext in any of its forms (see wire::params): texts by name, at most 8,192 characters as JSON.
#[derive(Debug, Default)]
pub struct Context(pub EncryptionContext);

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = EncryptionContext;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts, each name once")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EncryptionContext, A::Error> {
                let mut entries = EncryptionContext::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    // Readers of JSON disagree on which of two members counts.
                    if entries.insert(name, value).is_some() {
                        return Err(de::Error::custom("a name twice"));
                    }
                }
                Ok(entries)
            }
        }
        let entries = d.deserialize_map(Entries)?;
        let text = serde_json::to_string(&entries).map_err(de::Error::custom)?;
        if text.chars().count() <= 8192 { Ok(Self(entries)) } else { Err(de::Error::custom("at most 8192 characters")) }
    }
}

/// How long a new data key is: NumberOfBytes if given, else what KeySpec says, else 32 bytes (GenerateDataKey).
pub fn data_key_length(bytes: Option<NumberOfBytes>, spec: Option<DataKeySpec>) -> usize {
    match (bytes, spec) {
        (Some(bytes), _) => bytes.0 as usize,
        (None, Some(DataKeySpec::Aes128)) => 16,
        (None, Some(DataKeySpec::Aes256) | None) => 32,
    }
}

/// NumberOfBytes of a data key.
pub type NumberOfBytes = Bounded<1, 1024>;

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StringDeserializer};

    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(text: String) -> Option<T> {
        let text: StringDeserializer<Error> = text.into_deserializer();
        T::deserialize(text).ok()
    }

    #[test]
    fn plaintexts_are_counted_without_their_base64() {
        let base64 = |bytes: usize| STANDARD.encode(vec![7; bytes]);
        for (text, fits) in [
            (String::new(), false),
            ("x".into(), true),
            ("no Base64 ".repeat(614), true),
            ("no Base64 ".repeat(615), false),
            (base64(6144), true),
            (base64(6145), false),
            ("密".repeat(2048), true),
            ("密".repeat(2049), false),
        ] {
            let length = text.len();
            let read: Option<PlainText> = read(text.clone());
            assert_eq!(read.is_some(), fits, "{length}");
            if let Some(PlainText(kept)) = read {
                assert_eq!(kept.expose(), text.as_bytes());
            }
        }
    }

    #[test]
    fn contexts() {
        let read = |json: &str| serde_json::from_str::<Context>(json).ok().map(|c| c.0.len());
        for (json, entries) in [
            ("{}", Some(0)),
            (r#"{"b":"2", "a":"1"}"#, Some(2)),
            (r#"{"a":"1","a":"1"}"#, None),
            (r#"{"a":1}"#, None),
            (r#"{"a":null}"#, None),
            (r#"{"a":["1"]}"#, None),
            (r#"{"a":{"b":"1"}}"#, None),
            ("[]", None),
            ("null", None),
        ] {
            assert_eq!(read(json), entries, "{json}");
        }
        let of = |length: usize| format!(r#"{{"a":"{}"}}"#, "密".repeat(length - 8));
        assert_eq!((read(&of(8192)), read(&of(8193))), (Some(1), None));
    }

    #[test]
    fn number_of_bytes_wins() {
        let (aes128, aes256) = (Some(DataKeySpec::Aes128), Some(DataKeySpec::Aes256));
        assert_eq!(data_key_length(None, None), 32);
        assert_eq!(data_key_length(None, aes256), 32);
        assert_eq!(data_key_length(None, aes128), 16);
        assert_eq!(data_key_length(Some(Bounded(5)), aes256), 5);
    }
}
