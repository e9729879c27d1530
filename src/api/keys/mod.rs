//! Operations on keys and aliases, one file each.

pub mod cancel_key_deletion;
pub mod create_alias;
pub mod create_key;
pub mod create_key_version;
pub mod delete_alias;
pub mod delete_key_material;
pub mod describe_key;
pub mod describe_key_version;
pub mod disable_key;
pub mod enable_key;
pub mod filters;
pub mod get_parameters_for_import;
pub mod import_key_material;
mod interval;
pub mod list_aliases;
pub mod list_aliases_by_key_id;
pub mod list_key_versions;
pub mod list_keys;
pub mod schedule_key_deletion;
pub mod set_deletion_protection;
pub mod update_alias;
pub mod update_key_description;
pub mod update_rotation_policy;

use serde::Serialize;

pub use interval::interval;

use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::ids::{Alias, KeyId, KeyVersionId, KmsInstanceId};
use crate::base::words::{KeySpec, KeyState, KeyUsage, Origin, ProtectionLevel};
use crate::keys::KeyDescription;
use crate::store::{AliasRow, KeyVersionRow};

/// Who made the keys that the service made for itself (KeyMetadata, Creator).
const SERVICE_CREATOR: &str = "SecretsManager";

/// What CreateKey and DescribeKey say of a key. Primary version and rotation are told of symmetric keys: of a pair, callers name the
/// version themselves.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyMetadata {
    key_id: KeyId,
    arn: String,
    key_spec: KeySpec,
    key_usage: KeyUsage,
    key_state: KeyState,
    origin: Origin,
    protection_level: ProtectionLevel,
    creator: String,
    creation_date: Timestamp,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_key_version: Option<KeyVersionId>,
    delete_date: String,
    material_expire_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_rotation_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    automatic_rotation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_rotation_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_protection: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_protection_description: Option<String>,
    #[serde(rename = "DKMSInstanceId", skip_serializing_if = "Option::is_none")]
    kms_instance: Option<KmsInstanceId>,
}

impl KeyMetadata {
    /// As CreateKey answers it: without what only DescribeKey tells.
    fn new(caller: &Caller, described: KeyDescription) -> Self {
        let KeyDescription { key, rotated_at, rotation } = described;
        let rotation = rotation.and_then(|r| r.interval_s.map(|seconds| (seconds, r.due_at)));
        let automatic_rotation = match (rotation, key.state_at(caller.now())) {
            (None, _) => "Disabled",
            (Some(_), KeyState::Enabled) => "Enabled",
            (Some(_), _) => "Suspended",
        };
        let symmetric = key.spec.is_symmetric();
        Self {
            arn: caller.arn(None, &key.id.resource()),
            key_id: key.id,
            key_spec: key.spec,
            key_usage: key.usage,
            key_state: key.state_at(caller.now()),
            origin: key.origin,
            protection_level: key.protection,
            creator: if key.service { SERVICE_CREATOR.into() } else { key.account_id.to_string() },
            creation_date: key.created_at,
            description: key.description,
            primary_key_version: symmetric.then_some(key.primary_version),
            delete_date: key.delete_at.map(|at| at.to_string()).unwrap_or_default(),
            material_expire_time: key.material_expires_at.map(|at| at.to_string()).unwrap_or_default(),
            last_rotation_date: symmetric.then_some(rotated_at),
            automatic_rotation: symmetric.then_some(automatic_rotation),
            rotation_interval: rotation.map(|(seconds, _)| format!("{seconds}s")),
            next_rotation_date: rotation.map(|(_, at)| at),
            deletion_protection: None,
            deletion_protection_description: None,
            kms_instance: key.kms_instance,
        }
    }

    /// As DescribeKey answers it.
    fn with_protection(caller: &Caller, described: KeyDescription) -> Self {
        let reason = described.key.deletion_protection.clone();
        Self {
            deletion_protection: Some(if reason.is_some() { "Enabled" } else { "Disabled" }),
            deletion_protection_description: Some(reason.unwrap_or_default()),
            ..Self::new(caller, described)
        }
    }
}

/// What is said of a version of a key.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyVersion {
    key_id: KeyId,
    key_version_id: KeyVersionId,
    creation_date: Timestamp,
}

impl From<KeyVersionRow> for KeyVersion {
    fn from(row: KeyVersionRow) -> Self {
        Self { key_id: row.key_id, key_version_id: row.id, creation_date: row.created_at }
    }
}

/// A page of aliases.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AliasList {
    alias: Vec<AliasItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AliasItem {
    key_id: KeyId,
    alias_name: Alias,
    alias_arn: String,
}

impl AliasList {
    fn new(caller: &Caller, rows: Vec<AliasRow>) -> Self {
        let item = |row: AliasRow| AliasItem {
            key_id: row.key_id,
            alias_arn: caller.arn(None, row.name.as_str()),
            alias_name: row.name,
        };
        Self { alias: rows.into_iter().map(item).collect() }
    }
}
