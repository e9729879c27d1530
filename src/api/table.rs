//! The table of operations, sorted by name.
//!
//! Owns: which operations are served. Called by: api::service.

use crate::api::service::{Handler, handle};
use crate::api::{Operation, keys, secrets, tags};

/// Names each operation once; the rest follows from its type.
macro_rules! operations {
    ($($group:ident::$file:ident::$operation:ident,)+) => {
        /// Every operation that is served: its name and how it is answered.
        pub(super) const OPERATIONS: &[(&str, Handler)] =
            &[$((<$group::$file::$operation as Operation>::NAME, handle::<$group::$file::$operation>)),+];
    };
}

operations! {
    keys::create_alias::CreateAlias,
    keys::create_key::CreateKey,
    secrets::create_secret::CreateSecret,
    secrets::delete_secret::DeleteSecret,
    keys::describe_key::DescribeKey,
    secrets::describe_secret::DescribeSecret,
    keys::disable_key::DisableKey,
    keys::enable_key::EnableKey,
    secrets::get_secret_value::GetSecretValue,
    keys::list_keys::ListKeys,
    tags::list_resource_tags::ListResourceTags,
    secrets::list_secrets::ListSecrets,
    tags::list_tag_resources::ListTagResources,
    secrets::restore_secret::RestoreSecret,
    tags::tag_resource::TagResource,
    tags::tag_resources::TagResources,
    tags::untag_resource::UntagResource,
    tags::untag_resources::UntagResources,
}

/// The operation of this name (case-sensitive), with its name as a constant.
pub(super) fn find(action: &str) -> Option<(&'static str, Handler)> {
    OPERATIONS.binary_search_by_key(&action, |(name, _)| name).ok().map(|index| OPERATIONS[index])
}

/// The names of all operations that are served, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPERATIONS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_by_name() {
        assert!(OPERATIONS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
