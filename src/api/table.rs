//! The table of operations, sorted by name.
//!
//! Owns: which operations are served. Called by: api::service.

use crate::api::service::{Handler, handle};
use crate::api::{Operation, access_points, cloud, crypto, keys, policies, secrets, tags};

/// Names each operation once; the rest follows from its type.
macro_rules! operations {
    ($($group:ident::$file:ident::$operation:ident,)+) => {
        /// Every operation that is served: its name and how it is answered.
        pub(super) const OPERATIONS: &[(&str, Handler)] =
            &[$((<$group::$file::$operation as Operation>::NAME, handle::<$group::$file::$operation>)),+];
    };
}

operations! {
    crypto::asymmetric_decrypt::AsymmetricDecrypt,
    crypto::asymmetric_encrypt::AsymmetricEncrypt,
    crypto::asymmetric_sign::AsymmetricSign,
    crypto::asymmetric_verify::AsymmetricVerify,
    secrets::batch_get_secret_value::BatchGetSecretValue,
    keys::cancel_key_deletion::CancelKeyDeletion,
    keys::create_alias::CreateAlias,
    access_points::create_application_access_point::CreateApplicationAccessPoint,
    access_points::create_client_key::CreateClientKey,
    keys::create_key::CreateKey,
    keys::create_key_version::CreateKeyVersion,
    access_points::create_network_rule::CreateNetworkRule,
    access_points::create_policy::CreatePolicy,
    secrets::create_secret::CreateSecret,
    crypto::decrypt::Decrypt,
    keys::delete_alias::DeleteAlias,
    access_points::delete_application_access_point::DeleteApplicationAccessPoint,
    access_points::delete_client_key::DeleteClientKey,
    keys::delete_key_material::DeleteKeyMaterial,
    access_points::delete_network_rule::DeleteNetworkRule,
    access_points::delete_policy::DeletePolicy,
    secrets::delete_secret::DeleteSecret,
    cloud::describe_account_kms_status::DescribeAccountKmsStatus,
    access_points::describe_application_access_point::DescribeApplicationAccessPoint,
    keys::describe_key::DescribeKey,
    keys::describe_key_version::DescribeKeyVersion,
    access_points::describe_network_rule::DescribeNetworkRule,
    access_points::describe_policy::DescribePolicy,
    cloud::describe_regions::DescribeRegions,
    secrets::describe_secret::DescribeSecret,
    keys::disable_key::DisableKey,
    keys::enable_key::EnableKey,
    crypto::encrypt::Encrypt,
    crypto::export_data_key::ExportDataKey,
    crypto::generate_and_export_data_key::GenerateAndExportDataKey,
    crypto::generate_data_key::GenerateDataKey,
    crypto::generate_data_key_without_plaintext::GenerateDataKeyWithoutPlaintext,
    crypto::generate_mac::GenerateMac,
    access_points::get_client_key::GetClientKey,
    policies::get_key_policy::GetKeyPolicy,
    keys::get_parameters_for_import::GetParametersForImport,
    crypto::get_public_key::GetPublicKey,
    secrets::get_random_password::GetRandomPassword,
    policies::get_secret_policy::GetSecretPolicy,
    secrets::get_secret_value::GetSecretValue,
    keys::import_key_material::ImportKeyMaterial,
    keys::list_aliases::ListAliases,
    keys::list_aliases_by_key_id::ListAliasesByKeyId,
    access_points::list_application_access_points::ListApplicationAccessPoints,
    access_points::list_client_keys::ListClientKeys,
    keys::list_key_versions::ListKeyVersions,
    keys::list_keys::ListKeys,
    access_points::list_network_rules::ListNetworkRules,
    access_points::list_policies::ListPolicies,
    tags::list_resource_tags::ListResourceTags,
    secrets::list_secret_version_ids::ListSecretVersionIds,
    secrets::list_secrets::ListSecrets,
    tags::list_tag_resources::ListTagResources,
    cloud::open_kms_service::OpenKmsService,
    secrets::put_secret_value::PutSecretValue,
    crypto::re_encrypt::ReEncrypt,
    secrets::restore_secret::RestoreSecret,
    secrets::rotate_secret::RotateSecret,
    keys::schedule_key_deletion::ScheduleKeyDeletion,
    keys::set_deletion_protection::SetDeletionProtection,
    policies::set_key_policy::SetKeyPolicy,
    policies::set_secret_policy::SetSecretPolicy,
    tags::tag_resource::TagResource,
    tags::tag_resources::TagResources,
    tags::untag_resource::UntagResource,
    tags::untag_resources::UntagResources,
    keys::update_alias::UpdateAlias,
    access_points::update_application_access_point::UpdateApplicationAccessPoint,
    keys::update_key_description::UpdateKeyDescription,
    access_points::update_network_rule::UpdateNetworkRule,
    access_points::update_policy::UpdatePolicy,
    keys::update_rotation_policy::UpdateRotationPolicy,
    secrets::update_secret::UpdateSecret,
    secrets::update_secret_rotation_policy::UpdateSecretRotationPolicy,
    secrets::update_secret_version_stage::UpdateSecretVersionStage,
    crypto::verify_mac::VerifyMac,
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
