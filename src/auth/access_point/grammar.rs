//! Lists as the API and the rows hold them: JSON lists of texts, each of a grammar.
//!
//! Owns: the grammars that are no names. Must not know: rows. Called by: auth::access_point, api.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::ids::{KeyName, KeyRef, Malformed, SecretName};
use crate::error::Error;
use crate::store::Abort;

/// What is not there, by the name that the caller gave.
pub(super) fn absent(kind: &'static str, name: &impl ToString) -> Abort<Error> {
    Abort::App(Error::ResourceNotFound { kind, name: name.to_string() })
}

/// What a permission is given on (CreatePolicy, Resources): `key/ID`, `key/*`, `secret/NAME` or `secret/*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct AccessResource(String);

impl AccessResource {
    /// The text, which is also how an ARN ends.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one key, or all.
    pub fn is_key(&self) -> bool {
        self.0.starts_with("key/")
    }
}

impl TryFrom<String> for AccessResource {
    type Error = Malformed;
    fn try_from(text: String) -> Result<Self, Malformed> {
        let fits = match text.split_once('/') {
            Some(("key" | "secret", "*")) => true,
            Some(("key", id)) => {
                KeyRef::try_from(id.to_owned()).is_ok_and(|k| k.home.is_none() && matches!(k.name, KeyName::Id(_)))
            }
            Some(("secret", name)) => name.parse::<SecretName>().is_ok(),
            _ => false,
        };
        if fits { Ok(Self(text)) } else { Err(Malformed("key/ID, key/*, secret/NAME or secret/*")) }
    }
}

/// From where (CreateNetworkRule, SourcePrivateIp): an address or a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct SourceNet(String);

impl TryFrom<String> for SourceNet {
    type Error = Malformed;
    fn try_from(text: String) -> Result<Self, Malformed> {
        let fits = text.parse::<IpNet>().is_ok() || text.parse::<IpAddr>().is_ok();
        if fits { Ok(Self(text)) } else { Err(Malformed("an IP address or a network")) }
    }
}

/// A list as a row holds it.
pub(super) fn to_text<T: Serialize>(list: &[T]) -> Result<String, Error> {
    serde_json::to_string(list).map_err(|e| Error::Internal(format!("a list without JSON: {e}")))
}

/// A list that a row holds. The rows are sealed: what does not parse was not written by us.
pub(super) fn from_text<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, Abort<Error>> {
    serde_json::from_str(text).map_err(|_| Abort::App(Error::Integrity("a list of an access point does not parse".into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_one_or_all_of_a_kind() {
        let id = crate::base::ids::KeyId::new();
        for good in ["key/*", "secret/*", "secret/app/db-1", &format!("key/{id}")] {
            assert!(AccessResource::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "*", "key", "key/", "secret/", "secret/a*", "alias/a", "key/alias/a", "key/a b", "keys/*", "key/a?"] {
            assert!(AccessResource::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_are_addresses_or_prefixes() {
        for good in ["10.10.10.10/24", "192.168.17.6", "fd00::/8", "::1"] {
            assert!(SourceNet::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0", "host", "*"] {
            assert!(SourceNet::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
