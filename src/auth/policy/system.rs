//! The system policies of KMS: documents that every account has and nobody can change.
//!
//! Owns: their texts, as Alibaba Cloud publishes them (the dates stand beside them). Called by: auth, admin.

use std::sync::LazyLock;

use super::Policy;

/// Names and documents, sorted by name.
pub const SYSTEM_POLICIES: [(&str, &str); 6] = [
    // v2, 2023-06-26
    (
        "AliyunKMSCryptoAdminAccess",
        r#"{"Version":"1","Statement":[
{"Effect":"Allow","Action":"kms:*","Resource":["acs:kms:*:*:key*","acs:kms:*:*:alias*"]},
{"Effect":"Allow","Action":["ecs:TagResources","ecs:UntagResources","ecs:ListTagResources"],
"Resource":["acs:kms:*:*:key/*","acs:kms:*:*:secret/*"]}]}"#,
    ),
    // v2, 2026-07-09
    (
        "AliyunKMSCryptoUserAccess",
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt","kms:GenerateDataKey",
"kms:GenerateDataKeyWithoutPlaintext","kms:AsymmetricDecrypt","kms:AsymmetricEncrypt","kms:AsymmetricSign",
"kms:AsymmetricVerify","kms:GetPublicKey","kms:GenerateMac","kms:VerifyMac"],"Resource":"*"}]}"#,
    ),
    // v3, 2021-03-02
    (
        "AliyunKMSFullAccess",
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"},
{"Effect":"Allow","Action":"ram:CreateServiceLinkedRole","Resource":"*","Condition":{"StringEquals":{"ram:ServiceName":
["secretsmanager-rds.kms.aliyuncs.com","keystore.kms.aliyuncs.com"]}}}]}"#,
    ),
    // v3, 2025-09-23
    (
        "AliyunKMSReadOnlyAccess",
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":["kms:List*","kms:Describe*","kms:GetPublicKey",
"kms:GetUploadBackupDataInfo","kms:GetKmsInstanceSharedAccounts","kms:GetKmsInstanceQuotaInfos",
"kms:GetCheckAssociateResourceTaskResults","kms:GetKeyPolicy","kms:GetKeyDefaultPolicy","kms:GetSecretPolicy",
"kms:GetSecretDefaultPolicy","kms:GetKmsInstance","kms:GetDefaultKmsInstance"],"Resource":"*"}]}"#,
    ),
    // v5, 2023-06-26
    (
        "AliyunKMSSecretAdminAccess",
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"acs:kms:*:*:secret*"},
{"Effect":"Allow","Action":"kms:GetRandomPassword","Resource":"*"},
{"Effect":"Allow","Action":["rds:DescribeDBInstances","rds:DescribeDBInstanceAttribute","rds:DescribeDatabases",
"rds:DescribeAccounts","rds:DescribeDBInstanceNetInfo","rds:CreateAccount","rds:GrantAccountPrivilege"],"Resource":"*"},
{"Effect":"Allow","Action":"ecs:DescribeInstances","Resource":"acs:ecs:*:*:instance/*"},
{"Effect":"Allow","Action":["ecs:TagResources","ecs:UntagResources","ecs:ListTagResources"],
"Resource":["acs:kms:*:*:key/*","acs:kms:*:*:secret/*"]},
{"Effect":"Allow","Action":"ram:CreateServiceLinkedRole","Resource":"*","Condition":{"StringEquals":{"ram:ServiceName":
["secretsmanager-rds.kms.aliyuncs.com","secretsmanager-ecs.kms.aliyuncs.com"]}}}]}"#,
    ),
    // v1, 2020-03-04
    (
        "AliyunKMSSecretUserAccess",
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:GetSecretValue","Resource":"*"},
{"Effect":"Allow","Action":["kms:DescribeSecret","kms:ListSecretVersionIds"],"Resource":"*"}]}"#,
    ),
];

static PARSED: LazyLock<Vec<Policy>> = LazyLock::new(|| {
    let parse = |(_, document): &(&str, &str)| Policy::parse(document).expect("a test parses every system policy");
    SYSTEM_POLICIES.iter().map(parse).collect()
});

/// The system policy of this name.
pub fn system_policy(name: &str) -> Option<&'static Policy> {
    let at = SYSTEM_POLICIES.binary_search_by(|(known, _)| known.cmp(&name)).ok()?;
    PARSED.get(at)
}
