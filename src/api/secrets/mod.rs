//! Operations on secrets, one file each.

pub mod batch_get_secret_value;
pub mod create_secret;
pub mod delete_secret;
pub mod describe_secret;
pub mod destroy_secret_version;
mod fields;
mod filters;
pub mod get_random_password;
pub mod get_secret_value;
pub mod list_secret_version_ids;
pub mod list_secrets;
mod managed;
pub mod put_secret_value;
pub mod restore_secret;
pub mod rotate_secret;
pub mod update_secret;
pub mod update_secret_rotation_policy;
pub mod update_secret_version_stage;

pub use batch_get_secret_value::EntryError;
use serde::Serialize;

use crate::api::fields::Text;
use crate::api::secrets::managed::RotationInterval;
use crate::base::clock::Timestamp;
use crate::base::field::Field;
use crate::base::ids::Stage;
use crate::base::words::AutomaticRotation;
use crate::error::Error;
use crate::secrets::Rotation;
use crate::store::TagRow;

/// The labels of a version in an answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VersionStages {
    version_stage: Vec<Stage>,
}

impl From<Vec<Stage>> for VersionStages {
    fn from(version_stage: Vec<Stage>) -> Self {
        Self { version_stage }
    }
}

/// A tag in an answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagItem {
    tag_key: String,
    tag_value: String,
}

/// The list of tags in an answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tags {
    tag: Vec<TagItem>,
}

impl From<Vec<TagRow>> for Tags {
    fn from(tags: Vec<TagRow>) -> Self {
        Self { tag: tags.into_iter().map(|t| TagItem { tag_key: t.tag_key, tag_value: t.tag_value }).collect() }
    }
}

/// How a managed secret is rotated, in an answer; answers of Generic secrets have none of it. RotationInterval and NextRotationDate
/// only while it rotates by itself, LastRotationDate once it has.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotationFields {
    automatic_rotation: AutomaticRotation,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_rotation_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_rotation_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extended_config: Option<String>,
}

impl RotationFields {
    /// The fields, with or without ExtendedConfig.
    pub fn of(rotation: Rotation, with_config: bool) -> Self {
        Self {
            automatic_rotation: rotation.automatic,
            rotation_interval: rotation.interval_s.map(|seconds| format!("{seconds}s")),
            last_rotation_date: rotation.last,
            next_rotation_date: rotation.next,
            extended_config: with_config.then_some(rotation.extended_config),
        }
    }
}

/// The interval of a rotation, ms, where it is to come by itself: then it must be given.
fn rotation_interval(by_itself: bool, given: Option<&Text>) -> Result<Option<i64>, Error> {
    if !by_itself {
        return Ok(None);
    }
    let given = given.ok_or(Error::Missing(Field::RotationInterval))?;
    let interval: RotationInterval = given.0.parse().map_err(|m| Error::from((Field::RotationInterval, m)))?;
    Ok(Some(interval.ms))
}
