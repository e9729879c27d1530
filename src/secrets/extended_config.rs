//! ExtendedConfig: what is kept beside a managed secret, as JSON.
//!
//! Owns: its form and its limits, and what the caller may change in it. Must not know: how a secret is rotated. Called by: api, and
//! secrets::{rotation_policy, update}.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::base::field::{Field, Why};
use crate::base::ids::InstanceId;
use crate::base::words::SecretSubType;
use crate::error::Error;
use crate::store::{Abort, RotationRow, SecretRow, Tx};

/// Entries of CustomData.
pub const MAX_CUSTOM_DATA_ENTRIES: usize = 10;

/// Characters of ExtendedConfig.
pub const MAX_EXTENDED_CONFIG_CHARS: usize = 1024;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ExtendedConfig<'a> {
    secret_sub_type: SecretSubType,
    #[serde(rename = "DBInstanceId")]
    instance: &'a InstanceId,
    custom_data: &'a RawValue,
}

/// The text of a managed secret's.
///
/// # Errors
/// [`Error::Internal`] for a row that holds no JSON.
pub(super) fn extended_config(row: &RotationRow) -> Result<String, Error> {
    let fault = |e| Error::Internal(format!("what is kept beside a managed secret has no JSON form: {e}"));
    let custom_data: &RawValue = serde_json::from_str(&row.custom_data).map_err(fault)?;
    let config = ExtendedConfig { secret_sub_type: row.sub_type, instance: &row.instance, custom_data };
    serde_json::to_string(&config).map_err(fault)
}

/// Puts the caller's own entries of ExtendedConfig in the place of those that are there.
///
/// # Errors
/// [`Error::Invalid`] for a Generic secret, more than ten entries, or an ExtendedConfig that grows too long.
pub(super) fn custom_data_set(
    tx: &mut Tx<'_>,
    secret: &SecretRow,
    entries: &BTreeMap<String, String>,
) -> Result<(), Abort<Error>> {
    let refused = || {
        Abort::App(Error::invalid_since(
            Field::CustomData,
            Why::naming("It must be an object of at most ten texts; {} has 1,024 characters.", &[Field::ExtendedConfig]),
        ))
    };
    let old = tx.rotation_of(&secret.id)?.ok_or_else(refused)?;
    let custom_data = serde_json::to_string(entries).map_err(|_| refused())?;
    let new = RotationRow { custom_data, ..old.clone() };
    let length = extended_config(&new).map_err(Abort::App)?.chars().count();
    if entries.len() > MAX_CUSTOM_DATA_ENTRIES || length > MAX_EXTENDED_CONFIG_CHARS {
        return Err(refused());
    }
    Ok(tx.rotation_update(&old, &new)?)
}
