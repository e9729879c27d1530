//! Operations on keys and aliases, one file each.

pub mod create_alias;
pub mod create_key;
pub mod delete_key_material;
pub mod describe_key;
pub mod disable_key;
pub mod enable_key;
pub mod get_parameters_for_import;
pub mod import_key_material;
pub mod list_keys;

use serde::Serialize;

use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::ids::{KeyId, KeyVersionId};
use crate::kinds::{KeySpec, KeyState, KeyUsage, Origin, ProtectionLevel};
use crate::store::KeyRow;

/// An answer without fields of its own.
#[derive(Serialize)]
pub struct Done {}

/// What CreateKey and DescribeKey say of a key.
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
    primary_key_version: KeyVersionId,
    delete_date: String,
    material_expire_time: String,
    last_rotation_date: Timestamp,
    automatic_rotation: &'static str,
}

impl KeyMetadata {
    fn new(caller: &Caller, key: KeyRow) -> Self {
        Self {
            arn: caller.arn(None, &format!("key/{}", key.id)),
            key_id: key.id,
            key_spec: key.spec,
            key_usage: key.usage,
            key_state: key.state_at(caller.received_at),
            origin: key.origin,
            protection_level: key.protection,
            creator: if key.service { "SecretsManager".into() } else { key.account_id.to_string() },
            creation_date: key.created_at,
            description: key.description,
            primary_key_version: key.primary_version,
            delete_date: key.delete_at.map(|at| at.to_string()).unwrap_or_default(),
            material_expire_time: key.material_expires_at.map(|at| at.to_string()).unwrap_or_default(),
            last_rotation_date: key.created_at,
            automatic_rotation: "Disabled",
        }
    }
}
