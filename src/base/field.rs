//! What a refusal can point at: the parts of a request, in the core's own words, and sentences that name them.
//!
//! Owns: the closed list. Must not know: how a protocol spells them, or where in a request they stand. Called by: error; each dialect,
//! which spells them ([`Field::name`] is the spelling where a dialect has no other: the API's).

use std::borrow::Cow;

macro_rules! fields {
    ($($name:ident),+ $(,)?) => {
        /// A part of a request.
        #[allow(missing_docs, reason = "the names are those of the parameters that docs/api.md describes")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Field {
            $($name),+
        }

        impl Field {
            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Field::$name => stringify!($name)),+
                }
            }
        }
    };
}

fields! {
    AccessKeyId,
    Action,
    Algorithm,
    AliasName,
    AuthenticationMethod,
    Authorization,
    CertificateId,
    CiphertextBlob,
    CustomData,
    DatabaseInstance,
    EnableAutomaticRotation,
    EncryptionContext,
    ExcludeCharacters,
    ExtendedConfig,
    KeyId,
    KeyMaterialExpireUnix,
    KeySpec,
    KeyUsage,
    KmsInstance,
    Message,
    MoveToVersion,
    NextToken,
    NotAfter,
    NotBefore,
    NumberOfBytes,
    Origin,
    Plaintext,
    ProtectedResourceArn,
    PublicKeyBlob,
    RecoveryWindowInDays,
    RemoveFromVersion,
    ResourceId,
    ResourceType,
    RotationInterval,
    SecretData,
    SecretDataType,
    SecretName,
    SecretType,
    SecretsList,
    Signature,
    SignatureMethod,
    SignatureNonce,
    SignatureVersion,
    SourceEncryptionAlgorithm,
    SourceEncryptionContext,
    SourceKeyId,
    SourceKeyVersionId,
    Tag,
    TagKey,
    Timestamp,
    Type,
    Version,
    VersionStage,
    WrappingAlgorithm,
    WrappingKeySpec,
}

/// A sentence for people that says what would be right, without a value of the caller's. The parts of a request that it names are spelled
/// by each dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// Has a `{}` for each part.
    text: Cow<'static, str>,
    parts: &'static [Field],
}

impl Why {
    /// A sentence with a `{}` for each of these parts.
    pub const fn naming(text: &'static str, parts: &'static [Field]) -> Self {
        Self { text: Cow::Borrowed(text), parts }
    }

    /// The sentence around a noun: `It must be NOUN.`
    pub fn must_be(noun: Why) -> Self {
        Self { text: format!("It must be {}.", noun.text).into(), parts: noun.parts }
    }

    /// The text in a dialect's spelling.
    pub fn spelled(&self, spelling: impl Fn(Field) -> &'static str) -> Cow<'_, str> {
        if self.parts.is_empty() {
            return Cow::Borrowed(&self.text);
        }
        let mut told = String::new();
        let mut parts = self.parts.iter();
        for (n, piece) in self.text.split("{}").enumerate() {
            if n > 0 {
                told.push_str(parts.next().map_or("", |part| spelling(*part)));
            }
            told.push_str(piece);
        }
        Cow::Owned(told)
    }
}

impl From<&'static str> for Why {
    fn from(text: &'static str) -> Self {
        Self::naming(text, &[])
    }
}

impl From<String> for Why {
    fn from(text: String) -> Self {
        Self { text: text.into(), parts: &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_spelled_by_whoever_tells_them() {
        let why = Why::naming("It is of the {}, not of the {}.", &[Field::KeySpec, Field::KeyUsage]);
        assert_eq!(why.spelled(Field::name), "It is of the KeySpec, not of the KeyUsage.");
        let shouting = |field| if field == Field::KeySpec { "TYPE" } else { "USE" };
        assert_eq!(why.spelled(shouting), "It is of the TYPE, not of the USE.");
        assert_eq!(Why::must_be(Why::naming("a {}", &[Field::Tag])).spelled(Field::name), "It must be a Tag.");
        // What comes from elsewhere names no part.
        assert_eq!(Why::from("{} stays".to_owned()).spelled(Field::name), "{} stays");
    }
}
