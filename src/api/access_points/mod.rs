//! Operations on application access points, their policies, network rules and client keys, one file each.

pub mod create_application_access_point;
pub mod create_client_key;
pub mod create_network_rule;
pub mod create_policy;
pub mod delete_application_access_point;
pub mod delete_client_key;
pub mod delete_network_rule;
pub mod delete_policy;
pub mod describe_application_access_point;
pub mod describe_network_rule;
pub mod describe_policy;
pub mod get_client_key;
pub mod list_application_access_points;
pub mod list_client_keys;
pub mod list_network_rules;
pub mod list_policies;
pub mod update_application_access_point;
pub mod update_network_rule;
pub mod update_policy;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use crate::api::Resource;
use crate::api::json::{Object, from_text};
use crate::api::page::{Page, PageNumber, PageSize};
use crate::auth::access_point::ClientKey;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccessKeyId, AccessPointName, NetworkRuleName};
use crate::error::Error;

/// How ARNs name the four kinds.
const ACCESS_POINT: &str = "applicationaccesspoint";
const POLICY: &str = "policy";
const NETWORK_RULE: &str = "network";
const CLIENT_KEY: &str = "clientkey";

/// What client keys are made of, and the one way of authentication there is.
const KEY_ALGORITHM: &str = "RSA_2048";
const METHOD: &str = "ClientKey";

/// One thing of a kind.
fn one<'a>(kind: &'static str, name: &'a str) -> Resource<'a> {
    Resource::Other(kind, Some(name))
}

/// A list in one parameter: JSON, each member of its grammar, none twice.
struct List<T, const MIN: usize, const MAX: usize>(Vec<T>);

impl<'de, T: DeserializeOwned + PartialEq, const MIN: usize, const MAX: usize> Deserialize<'de> for List<T, MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let list: Vec<T> = from_text("a JSON list", &text)?;
        let once = list.iter().enumerate().all(|(i, item)| !list[..i].contains(item));
        if once && (MIN..=MAX).contains(&list.len()) {
            Ok(Self(list))
        } else {
            Err(D::Error::custom(format_args!("a JSON list of {MIN} to {MAX} different entries")))
        }
    }
}

/// AccessControlRules: `{"NetworkRules":["name",…]}`; without any, from everywhere.
#[derive(Default)]
struct Rules(Vec<NetworkRuleName>);

/// The JSON of [`Rules`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RulesObject {
    #[serde(default)]
    network_rules: Vec<NetworkRuleName>,
}

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Object(object): Object<RulesObject> = from_text("a JSON object with NetworkRules", &text)?;
        if object.network_rules.len() <= 40 {
            Ok(Self(object.network_rules))
        } else {
            Err(D::Error::custom("at most 40 rules"))
        }
    }
}

/// The text of [`Rules`] in an answer.
fn rules_text(network_rules: Vec<NetworkRuleName>) -> Result<String, Error> {
    text(&RulesObject { network_rules })
}

/// A list or object in one text of an answer.
fn text(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|e| Error::Internal(format!("no JSON of a list: {e}")))
}

/// A time in a parameter, `2026-01-02T03:04:05Z`.
struct Time(Timestamp);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let wrong =
            || D::Error::custom(format_args!("a time in UTC like 2026-01-02T03:04:05Z, at the latest {}", Timestamp::LATEST));
        Timestamp::parse(&String::deserialize(d)?).map(Self).ok_or_else(wrong)
    }
}

/// Rows on a page where nothing is said (ListPolicies and the like).
const DEFAULT_PAGE_SIZE: u32 = 20;

/// Which page of a list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListRequest {
    page_number: Option<PageNumber>,
    page_size: Option<PageSize>,
}

impl ListRequest {
    fn page(self) -> Page {
        Page::new(self.page_number, self.page_size, DEFAULT_PAGE_SIZE)
    }
}

/// What GetClientKey and ListClientKeys say of a client key.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ClientKeyInfo {
    aap_name: AccessPointName,
    client_key_id: AccessKeyId,
    create_time: Timestamp,
    key_algorithm: &'static str,
    key_origin: &'static str,
    not_after: Timestamp,
    not_before: Timestamp,
    public_key_data: String,
}

impl From<ClientKey> for ClientKeyInfo {
    fn from(key: ClientKey) -> Self {
        Self {
            aap_name: key.access_point,
            client_key_id: key.id,
            create_time: key.created_at,
            key_algorithm: KEY_ALGORITHM,
            key_origin: "KMS_PROVIDED",
            not_after: key.not_after,
            not_before: key.not_before,
            public_key_data: STANDARD.encode(key.public_key),
        }
    }
}
