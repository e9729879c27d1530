//! The table of operations, sorted by name.
//!
//! Owns: which operations there are. Called by: each dialect, which makes of every line what it needs.

use crate::api::Operation;

/// Hands every operation to a macro, as a list of types.
macro_rules! for_each_operation {
    ($macro:ident) => {
        $macro! {
            crate::api::crypto::asymmetric_decrypt::AsymmetricDecrypt,
            crate::api::crypto::asymmetric_encrypt::AsymmetricEncrypt,
            crate::api::crypto::asymmetric_sign::AsymmetricSign,
            crate::api::crypto::asymmetric_verify::AsymmetricVerify,
            crate::api::secrets::batch_get_secret_value::BatchGetSecretValue,
            crate::api::keys::cancel_key_deletion::CancelKeyDeletion,
            crate::api::cloud::lacking::ConnectKmsInstance,
            crate::api::keys::create_alias::CreateAlias,
            crate::api::access_points::create_application_access_point::CreateApplicationAccessPoint,
            crate::api::access_points::create_client_key::CreateClientKey,
            crate::api::keys::create_key::CreateKey,
            crate::api::keys::create_key_version::CreateKeyVersion,
            crate::api::access_points::create_network_rule::CreateNetworkRule,
            crate::api::access_points::create_policy::CreatePolicy,
            crate::api::secrets::create_secret::CreateSecret,
            crate::api::crypto::decrypt::Decrypt,
            crate::api::keys::delete_alias::DeleteAlias,
            crate::api::access_points::delete_application_access_point::DeleteApplicationAccessPoint,
            crate::api::access_points::delete_client_key::DeleteClientKey,
            crate::api::keys::delete_key_material::DeleteKeyMaterial,
            crate::api::access_points::delete_network_rule::DeleteNetworkRule,
            crate::api::access_points::delete_policy::DeletePolicy,
            crate::api::secrets::delete_secret::DeleteSecret,
            crate::api::cloud::describe_account_kms_status::DescribeAccountKmsStatus,
            crate::api::access_points::describe_application_access_point::DescribeApplicationAccessPoint,
            crate::api::keys::describe_key::DescribeKey,
            crate::api::keys::describe_key_version::DescribeKeyVersion,
            crate::api::access_points::describe_network_rule::DescribeNetworkRule,
            crate::api::access_points::describe_policy::DescribePolicy,
            crate::api::cloud::describe_regions::DescribeRegions,
            crate::api::secrets::describe_secret::DescribeSecret,
            crate::api::secrets::destroy_secret_version::DestroySecretVersion,
            crate::api::keys::disable_key::DisableKey,
            crate::api::keys::enable_key::EnableKey,
            crate::api::crypto::encrypt::Encrypt,
            crate::api::crypto::export_data_key::ExportDataKey,
            crate::api::crypto::generate_and_export_data_key::GenerateAndExportDataKey,
            crate::api::crypto::generate_data_key::GenerateDataKey,
            crate::api::crypto::generate_data_key_without_plaintext::GenerateDataKeyWithoutPlaintext,
            crate::api::crypto::generate_mac::GenerateMac,
            crate::api::cloud::get_caller_identity::GetCallerIdentity,
            crate::api::cloud::lacking::GetChallenge,
            crate::api::access_points::get_client_key::GetClientKey,
            crate::api::cloud::lacking::GetDefaultKmsInstance,
            crate::api::policies::get_key_policy::GetKeyPolicy,
            crate::api::cloud::lacking::GetKmsInstance,
            crate::api::cloud::lacking::GetKmsInstanceQuotaInfos,
            crate::api::cloud::lacking::GetManagedDataKey,
            crate::api::keys::get_parameters_for_import::GetParametersForImport,
            crate::api::crypto::get_public_key::GetPublicKey,
            crate::api::secrets::get_random_password::GetRandomPassword,
            crate::api::policies::get_secret_policy::GetSecretPolicy,
            crate::api::secrets::get_secret_value::GetSecretValue,
            crate::api::keys::import_key_material::ImportKeyMaterial,
            crate::api::keys::list_aliases::ListAliases,
            crate::api::keys::list_aliases_by_key_id::ListAliasesByKeyId,
            crate::api::access_points::list_application_access_points::ListApplicationAccessPoints,
            crate::api::access_points::list_client_keys::ListClientKeys,
            crate::api::keys::list_key_versions::ListKeyVersions,
            crate::api::keys::list_keys::ListKeys,
            crate::api::cloud::list_kms_instances::ListKmsInstances,
            crate::api::cloud::lacking::ListManagedDataKeyVersions,
            crate::api::access_points::list_network_rules::ListNetworkRules,
            crate::api::access_points::list_policies::ListPolicies,
            crate::api::tags::list_resource_tags::ListResourceTags,
            crate::api::secrets::list_secret_version_ids::ListSecretVersionIds,
            crate::api::secrets::list_secrets::ListSecrets,
            crate::api::tags::list_tag_resources::ListTagResources,
            crate::api::cloud::open_kms_service::OpenKmsService,
            crate::api::secrets::put_secret_value::PutSecretValue,
            crate::api::crypto::re_encrypt::ReEncrypt,
            crate::api::cloud::lacking::ReleaseKmsInstance,
            crate::api::secrets::restore_secret::RestoreSecret,
            crate::api::secrets::rotate_secret::RotateSecret,
            crate::api::keys::schedule_key_deletion::ScheduleKeyDeletion,
            crate::api::keys::set_deletion_protection::SetDeletionProtection,
            crate::api::policies::set_key_policy::SetKeyPolicy,
            crate::api::policies::set_secret_policy::SetSecretPolicy,
            crate::api::tags::tag_resource::TagResource,
            crate::api::tags::tag_resources::TagResources,
            crate::api::tags::untag_resource::UntagResource,
            crate::api::tags::untag_resources::UntagResources,
            crate::api::keys::update_alias::UpdateAlias,
            crate::api::access_points::update_application_access_point::UpdateApplicationAccessPoint,
            crate::api::keys::update_key_description::UpdateKeyDescription,
            crate::api::cloud::lacking::UpdateKmsInstanceBindVpc,
            crate::api::access_points::update_network_rule::UpdateNetworkRule,
            crate::api::access_points::update_policy::UpdatePolicy,
            crate::api::keys::update_rotation_policy::UpdateRotationPolicy,
            crate::api::secrets::update_secret::UpdateSecret,
            crate::api::secrets::update_secret_rotation_policy::UpdateSecretRotationPolicy,
            crate::api::secrets::update_secret_version_stage::UpdateSecretVersionStage,
            crate::api::crypto::verify_mac::VerifyMac,
        }
    };
}
pub(crate) use for_each_operation;

macro_rules! names {
    ($($operation:ty,)+) => { &[$(<$operation as Operation>::NAME),+] };
}

const NAMES: &[&str] = for_each_operation!(names);

/// The names of all operations, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().copied()
}

macro_rules! permissions {
    ($($operation:ty,)+) => { &[$((<$operation as Operation>::NAME, <$operation as Operation>::PERMISSION)),+] };
}

const PERMISSIONS: &[(&str, &str)] = for_each_operation!(permissions);

/// What each operation asks for, behind `kms:`. ReEncrypt asks for two.
pub fn permissions() -> impl Iterator<Item = (&'static str, &'static str)> {
    PERMISSIONS.iter().copied().chain([("ReEncrypt", "ReEncryptTo")])
}

/// For tests of what has to be said of each operation: those of a folder, with the permission that they need.
#[cfg(test)]
pub(crate) fn in_group(group: &str) -> Vec<(&'static str, String)> {
    macro_rules! with_types {
        ($($operation:ty,)+) => {
            [$((stringify!($operation), <$operation as Operation>::NAME, <$operation as Operation>::PERMISSION)),+]
        };
    }
    let all = for_each_operation!(with_types);
    let its = all.iter().filter(|(path, ..)| path.replace(' ', "").contains(&format!("::{group}::")));
    let found: Vec<_> = its.map(|(_, name, permission)| (*name, format!("kms:{permission}"))).collect();
    assert!(found.len() > 3, "operations of {group}: {found:?}");
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::policy::{Requester, ResourcePolicy};

    #[test]
    fn sorted_by_name() {
        assert!(NAMES.is_sorted());
    }

    /// Whoever adds an operation on secrets says here, or among the actions of secrets' policies, whether they have a say in it.
    #[test]
    fn the_policy_of_a_secret_has_a_say_in_all_but_these() {
        let user = Requester { account: "1234567890123456", user: Some("u") };
        let others = in_group("secrets").into_iter().filter(|(_, action)| !ResourcePolicy::speaks_of("secret/a", action, user));
        let others: Vec<&str> = others.map(|(name, _)| name).collect();
        // They are about no secret that is there.
        assert_eq!(others, ["CreateSecret", "GetRandomPassword"]);
    }
}
