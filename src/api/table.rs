//! The table of operations, sorted by name.
//!
//! Owns: which operations are served. Called by: api::service.

use crate::api::service::{Handler, handle};
use crate::api::{Operation, cloud, keys, policies, secrets, tags};

/// Names each operation once; the rest follows from its type.
macro_rules! operations {
    ($($group:ident::$file:ident::$operation:ident,)+) => {
        /// Every operation that is served: its name and how it is answered.
        pub(super) const OPERATIONS: &[(&str, Handler)] =
            &[$((<$group::$file::$operation as Operation>::NAME, handle::<$group::$file::$operation>)),+];
    };
}

operations! {
    secrets::batch_get_secret_value::BatchGetSecretValue,
    keys::cancel_key_deletion::CancelKeyDeletion,
    keys::create_alias::CreateAlias,
    keys::create_key::CreateKey,
    keys::create_key_version::CreateKeyVersion,
    secrets::create_secret::CreateSecret,
    keys::delete_alias::DeleteAlias,
    secrets::delete_secret::DeleteSecret,
    cloud::describe_account_kms_status::DescribeAccountKmsStatus,
    keys::describe_key::DescribeKey,
    keys::describe_key_version::DescribeKeyVersion,
    cloud::describe_regions::DescribeRegions,
    secrets::describe_secret::DescribeSecret,
    keys::disable_key::DisableKey,
    keys::enable_key::EnableKey,
    policies::get_key_policy::GetKeyPolicy,
    secrets::get_random_password::GetRandomPassword,
    policies::get_secret_policy::GetSecretPolicy,
    secrets::get_secret_value::GetSecretValue,
    keys::list_aliases::ListAliases,
    keys::list_aliases_by_key_id::ListAliasesByKeyId,
    keys::list_key_versions::ListKeyVersions,
    keys::list_keys::ListKeys,
    tags::list_resource_tags::ListResourceTags,
    secrets::list_secret_version_ids::ListSecretVersionIds,
    secrets::list_secrets::ListSecrets,
    tags::list_tag_resources::ListTagResources,
    cloud::open_kms_service::OpenKmsService,
    secrets::put_secret_value::PutSecretValue,
    secrets::restore_secret::RestoreSecret,
    keys::schedule_key_deletion::ScheduleKeyDeletion,
    keys::set_deletion_protection::SetDeletionProtection,
    policies::set_key_policy::SetKeyPolicy,
    policies::set_secret_policy::SetSecretPolicy,
    tags::tag_resource::TagResource,
    tags::tag_resources::TagResources,
    tags::untag_resource::UntagResource,
    tags::untag_resources::UntagResources,
    keys::update_alias::UpdateAlias,
    keys::update_key_description::UpdateKeyDescription,
    keys::update_rotation_policy::UpdateRotationPolicy,
    secrets::update_secret::UpdateSecret,
    secrets::update_secret_version_stage::UpdateSecretVersionStage,
}

/// The operation of this name (case-sensitive), with its name as a constant: one that is served, or one that a deployment of its own
/// has no resource for.
pub(super) fn find(action: &str) -> Option<(&'static str, Handler)> {
    let served = OPERATIONS.binary_search_by_key(&action, |(name, _)| name).ok().map(|index| OPERATIONS[index]);
    served.or_else(|| cloud::find(action))
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
