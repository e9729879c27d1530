//! Identifiers, parsed once: whoever holds one of these types holds a well-formed value.
//!
//! Owns: the grammar of every id and name. Must not know: HTTP, SQL, PKCS#11. Used by all.
//! Sources of the grammars: the pages of CreateSecret, CreateKey, CreateAlias, PutSecretValue and UpdateSecretVersionStage.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base::failure::Reason;

/// A value that does not fit its grammar. Carries what was expected, never what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl Reason for Malformed {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// 128-bit ids, made here and never reused. Text form: 36 characters, lower case, hyphenated; nothing else is accepted, so that
/// an ARN in a policy has one spelling.
macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A new random id (UUID version 4).
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(Uuid::new_v4())
            }

            /// The 16 bytes, as stored and as bound into associated data.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id with these 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                Uuid::parse_str(text)
                    .map(Self)
                    .ok()
                    .filter(|id| id.to_string() == text)
                    .ok_or(Malformed("a UUID in lower case"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

uuid_id! {
    /// One installation: a database and the system keys on its token.
    DeploymentId;
    /// One server process's home (its audit folder); kept over restarts.
    NodeId;
    /// A master key (CMK).
    KeyId;
    /// One version of a master key; its 16 bytes are CKA_ID of the object on the token.
    KeyVersionId;
    /// A secret, over its life; a secret deleted and made again under the same name has another.
    SecretId;
    /// A stored version of a secret; a version removed and made again under the same VersionId has another.
    SecretVersionUuid;
    /// A user of an account.
    UserId;
    /// One request; in every answer, log line and audit line.
    RequestId;
}

/// Text ids with a grammar.
macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident: $expected:literal, $valid:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Malformed;
            fn try_from(text: String) -> Result<Self, Malformed> {
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err(Malformed($expected)) }
            }
        }

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                Self::try_from(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

fn within(text: &str, most: usize, allowed: fn(char) -> bool) -> bool {
    (1..=most).contains(&text.chars().count()) && text.chars().all(allowed)
}

fn in_secret_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_/+=.@-".contains(c)
}

/// The labels that the service moves.
const BUILT_IN: [&str; 2] = [Stage::CURRENT, Stage::PREVIOUS];

fn in_simple_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.@-".contains(c)
}

/// The prefix that every alias carries on the wire.
pub const ALIAS_PREFIX: &str = "alias/";

text_id! {
    /// An account (tenant): 16 digits.
    AccountId: "16 digits", |t| t.len() == 16 && t.bytes().all(|b| b.is_ascii_digit());
    /// The region this deployment answers as, e.g. `cn-hangzhou`.
    Region: "1 to 64 lower-case letters, digits and hyphens",
        |t| within(t, 64, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    /// A user's name, unique in the account.
    UserName: "1 to 64 letters, digits and _.@-", |t| within(t, 64, in_simple_name);
    /// A policy's name, unique in the account.
    PolicyName: "1 to 128 letters, digits and _.@-", |t| within(t, 128, in_simple_name);
    /// What a signed request names: the public half of an access key, or the id of a client key.
    AccessKeyId: "1 to 64 letters, digits, dots and hyphens", |t| within(t, 64, |c| c.is_ascii_alphanumeric() || ".-".contains(c));
    /// An application access point, unique in the account.
    AccessPointName: "1 to 128 letters, digits and _.@-", |t| within(t, 128, in_simple_name);
    /// A permission policy of access points, unique in the account.
    AccessPolicyName: "1 to 128 letters, digits and _.@-", |t| within(t, 128, in_simple_name);
    /// A network rule of such policies, unique in the account.
    NetworkRuleName: "1 to 128 letters, digits and _.@-", |t| within(t, 128, in_simple_name);
    /// A secret's name, unique in account and region (CreateSecret: 1 to 192 characters, not beginning `acs/`).
    SecretName: "1 to 192 letters, digits and _/+=.@-, not beginning acs/",
        |t| within(t, 192, in_secret_name) && !t.starts_with("acs/");
    /// How the names of some secrets begin (ListSecrets).
    SecretNamePrefix: "1 to 192 letters, digits and _/+=.@-", |t| within(t, 192, in_secret_name);
    /// The caller's name of a secret version, unique in the secret (CreateSecret: at most 64 characters).
    VersionId: "1 to 64 characters that every answer format can carry",
        |t| within(t, 64, |c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}'));
    /// A label on one version of a secret.
    Stage: "1 to 64 letters, digits and _/+=.@-, and ACSCurrent and ACSPrevious in that spelling", |t| {
        within(t, 64, in_secret_name) && BUILT_IN.iter().all(|stage| *stage == t || !stage.eq_ignore_ascii_case(t))
    };
    /// A database server whose accounts are rotated, as secrets name it (CreateSecret, ExtendedConfig: DBInstanceId).
    InstanceId: "1 to 64 letters, digits and _.@-", |t| within(t, 64, in_simple_name);
    /// A KMS instance, which this service has none of; what a caller names is shown again (CreateKey, CreateSecret: DKMSInstanceId).
    KmsInstanceId: "1 to 64 letters, digits and _-", |t| within(t, 64, |c| c.is_ascii_alphanumeric() || "_-".contains(c));
    /// An account on such a server. PostgreSQL allows 63 bytes; no name needs escaping between quotes.
    AccountName: "1 to 63 letters, digits and _.@$-",
        |t| within(t, 63, |c| c.is_ascii_alphanumeric() || "_.@$-".contains(c));
    /// Another name of a key, with its prefix `alias/` (CreateAlias: 1 to 255 characters in all).
    Alias: "alias/ and letters, digits, _ - /, at most 255 characters", |t| {
        t.len() <= 255
            && t.strip_prefix(ALIAS_PREFIX)
                .is_some_and(|n| within(n, 249, |c| c.is_ascii_alphanumeric() || "_-/".contains(c)))
    };
}

impl AccountId {
    /// A new random account id.
    pub fn random() -> Self {
        let number = Uuid::new_v4().as_u128() % 9_000_000_000_000_000 + 1_000_000_000_000_000;
        Self(number.to_string())
    }
}

impl KeyId {
    /// The key as policies and the audit log name it, relative to its account: `key/<id>`.
    pub fn resource(&self) -> String {
        format!("key/{self}")
    }
}

impl SecretName {
    /// The secret as policies and the audit log name it, relative to its account: `secret/<name>`.
    pub fn resource(&self) -> String {
        format!("secret/{self}")
    }
}

impl AccessKeyId {
    /// A new random access key id: `BLLA` and 20 letters and digits.
    pub fn random() -> Self {
        let random = Uuid::new_v4().as_u128() ^ (Uuid::new_v4().as_u128() << 6);
        let tail = (0..Self::TAIL).map(|i| char::from(Self::ALPHABET[(random >> (5 * i) & 31) as usize]));
        Self(Self::PREFIX.chars().chain(tail).collect())
    }

    /// How the ids of access keys begin, what follows, and how much of it.
    const PREFIX: &'static str = "BLLA";
    const ALPHABET: &'static [u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    const TAIL: usize = 20;

    /// Whether it is an id as this service makes them, which no secret is.
    pub fn is_made_here(&self) -> bool {
        let is_of_access_key = |tail: &str| tail.len() == Self::TAIL && tail.bytes().all(|byte| Self::ALPHABET.contains(&byte));
        let is_of_client_key = |tail: &str| tail.parse::<Uuid>().is_ok_and(|id| id.to_string() == tail);
        self.0.strip_prefix(Self::PREFIX).is_some_and(is_of_access_key)
            || self.0.strip_prefix(Self::CLIENT_KEY_PREFIX).is_some_and(is_of_client_key)
    }

    /// How the ids of client keys begin.
    pub const CLIENT_KEY_PREFIX: &'static str = "KAAP.";

    /// A new random id of a client key: `KAAP.` and a UUID.
    pub fn of_client_key() -> Self {
        Self(format!("{}{}", Self::CLIENT_KEY_PREFIX, Uuid::new_v4()))
    }

    /// Whether it can only be a client key's.
    pub fn is_client_key(&self) -> bool {
        self.0.starts_with(Self::CLIENT_KEY_PREFIX)
    }
}

impl VersionId {
    /// A name for a version that the service makes by itself.
    pub fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }
}

impl Stage {
    /// The label that exactly one version of every secret carries.
    pub const CURRENT: &'static str = "ACSCurrent";

    /// The label of the version that was current before; none carries it while there was only one.
    pub const PREVIOUS: &'static str = "ACSPrevious";

    /// `ACSCurrent`.
    pub fn current() -> Self {
        Self(Self::CURRENT.to_owned())
    }

    /// `ACSPrevious`.
    pub fn previous() -> Self {
        Self(Self::PREVIOUS.to_owned())
    }

    /// Whether it is one of the service's own, which are moved and never taken away.
    pub fn is_built_in(&self) -> bool {
        self.0 == Self::CURRENT || self.0 == Self::PREVIOUS
    }
}

/// How a caller names a secret: by name, or by ARN.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SecretRef {
    /// The account and region of the ARN; none when only a name was given.
    pub home: Option<Home>,
    /// The name.
    pub name: SecretName,
}

/// How a caller names a key: by id or alias, each bare or in an ARN.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyRef {
    /// The account and region of the ARN; none when there was no ARN.
    pub home: Option<Home>,
    /// Id or alias.
    pub name: KeyName,
}

/// The account and region that an ARN names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The region.
    pub region: String,
    /// The account.
    pub account: String,
}

/// The name of a key inside its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyName {
    /// An id as given. Opaque: ids that cannot exist here are simply not found.
    Id(String),
    /// An alias.
    Alias(Alias),
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyName::Id(id) => f.write_str(id),
            KeyName::Alias(alias) => alias.fmt(f),
        }
    }
}

/// `acs:kms:<region>:<account>:<relative id>` taken apart; none if the text is no ARN.
fn parse_arn(text: &str) -> Result<Option<(Home, &str)>, Malformed> {
    let Some(rest) = text.strip_prefix("acs:") else { return Ok(None) };
    let mut parts = rest.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("kms"), Some(region), Some(account), Some(relative)) => {
            let home = Home { region: region.to_owned(), account: account.to_owned() };
            Ok(Some((home, relative)))
        }
        _ => Err(Malformed("an ARN of the form acs:kms:<region>:<account>:<resource>")),
    }
}

impl TryFrom<String> for SecretRef {
    type Error = Malformed;
    fn try_from(text: String) -> Result<Self, Malformed> {
        match parse_arn(&text)? {
            None => Ok(Self { home: None, name: text.try_into()? }),
            Some((home, relative)) => {
                let name = relative.strip_prefix("secret/").ok_or(Malformed("the ARN of a secret"))?;
                Ok(Self { home: Some(home), name: name.parse()? })
            }
        }
    }
}

impl TryFrom<String> for KeyRef {
    type Error = Malformed;
    fn try_from(text: String) -> Result<Self, Malformed> {
        let (home, name) = match parse_arn(&text)? {
            None => (None, text.as_str()),
            Some((home, relative)) if relative.starts_with(ALIAS_PREFIX) => (Some(home), relative),
            Some((home, relative)) => {
                (Some(home), relative.strip_prefix("key/").ok_or(Malformed("the ARN of a key or an alias"))?)
            }
        };
        let name = if name.starts_with(ALIAS_PREFIX) {
            KeyName::Alias(name.parse()?)
        } else if within(name, 64, |c| c.is_ascii_alphanumeric() || c == '-') {
            KeyName::Id(name.to_owned())
        } else {
            return Err(Malformed("a key id, an alias or an ARN of one"));
        };
        Ok(Self { home, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammars_are_those_of_the_api() {
        let ok = |good: bool, text: &str, valid: bool| assert_eq!(good, valid, "{text}");
        for (text, valid) in [("app/db-1", true), ("a".repeat(192).as_str(), true), ("a".repeat(193).as_str(), false)] {
            ok(text.parse::<SecretName>().is_ok(), text, valid);
        }
        for (text, valid) in [("", false), ("acs/x", false), ("a b", false), ("数", false), ("_/+=.@-", true)] {
            ok(text.parse::<SecretName>().is_ok(), text, valid);
        }
        for (text, valid) in [("数据".repeat(32).as_str(), true), ("a".repeat(65).as_str(), false), ("a\nb", false)] {
            ok(text.parse::<VersionId>().is_ok(), text, valid);
        }
        for (text, valid) in [("alias/Apollo/WorkKey", true), ("alias/", false), ("key", false), ("alias/a b", false)] {
            ok(text.parse::<Alias>().is_ok(), text, valid);
        }
        assert_eq!(AccessKeyId::random().as_str().len(), 24);
        assert!(AccountId::random().as_str().parse::<AccountId>().is_ok());
    }

    #[test]
    fn ids_of_access_keys_are_told_from_secrets() {
        assert!(AccessKeyId::random().is_made_here() && AccessKeyId::of_client_key().is_made_here());
        let token = "s.CAESIJ3x";
        for other in
            ["irTC7dZ.xQ0vK2mN4pR6sT8uW1yB3cD5eF7gH9jL", token, "BLLA2345", "BLLAirTC7dZxQ0vK2mN4pR6s", "KAAP.x", "nobody"]
        {
            assert!(!other.parse::<AccessKeyId>().expect("an id as requests may name it").is_made_here(), "{other}");
        }
    }

    #[test]
    fn ids_have_one_spelling() {
        let id = KeyId::new();
        assert_eq!(id.to_string().parse::<KeyId>(), Ok(id));
        assert!(id.to_string().to_uppercase().parse::<KeyId>().is_err() || id.to_string().to_uppercase() == id.to_string());
        assert!(format!("{{{id}}}").parse::<KeyId>().is_err());
    }

    #[test]
    fn references_read_names_aliases_and_arns() {
        let by_arn: SecretRef = String::from("acs:kms:r:1:secret/a/b").try_into().expect("ARN");
        assert_eq!(by_arn.name.as_str(), "a/b");
        assert_eq!(by_arn.home, Some(Home { region: "r".into(), account: "1".into() }));
        let alias: KeyRef = String::from("acs:kms:r:1:alias/x").try_into().expect("ARN");
        assert_eq!(alias.name.to_string(), "alias/x");
        for bad in ["acs:kms:r:1:secret/x", "acs:ecs:r:1:key/x", "acs:kms", "a b", ""] {
            assert!(KeyRef::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
