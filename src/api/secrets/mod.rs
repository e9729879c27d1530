//! Operations on secrets, one file each.

pub mod batch_get_secret_value;
pub mod create_secret;
pub mod delete_secret;
pub mod describe_secret;
mod filters;
pub mod get_random_password;
pub mod get_secret_value;
pub mod list_secret_version_ids;
pub mod list_secrets;
pub mod put_secret_value;
pub mod restore_secret;
pub mod update_secret;
pub mod update_secret_version_stage;

use serde::Serialize;

use crate::ids::Stage;
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
