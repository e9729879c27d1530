//! Operations on secrets, one file each.

pub mod create_secret;
pub mod delete_secret;
pub mod describe_secret;
pub mod get_random_password;
pub mod get_secret_value;
pub mod list_secrets;
pub mod restore_secret;

use serde::Serialize;

use crate::store::TagRow;

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
