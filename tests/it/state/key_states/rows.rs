//! The rows: an operation, what it is called with, and the code that each state answers.
//!
//! Source: the table of the API's documentation of keys. There is one table for each sort of key. `{…}` in a parameter is filled in by
//! [`super::Subject::ask`].

/// The columns.
pub const STATES: [&str; 4] = ["Enabled", "Disabled", "PendingDeletion", "PendingImport"];

/// Operation, parameters, and the codes in the states' order.
pub type Row = (&'static str, &'static [(&'static str, &'static str)], [&'static str; 4]);

const OK: &str = "";
const DISABLED: &str = "Rejected.Disabled";
const PENDING: &str = "Rejected.PendingDeletion";
const IMPORT: &str = "Rejected.PendingImport";
const CHANGE: &str = "Rejected.StateModifiedFailed";
const UNFIT: &str = "UnsupportedOperation";
/// The state allows it; what is refused is a second version on the key's first day.
pub const TOO_SOON: &str = "Rejected.LimitExceeded";
/// Only EXTERNAL keys take material.
const ORIGIN: &str = "Unsupported.Origin";
/// Only EXTERNAL keys come into this state.
pub const NEVER: &str = "-";

/// The key's id; its version; an alias of it; a name that no alias has.
pub const KEY: (&str, &str) = ("KeyId", "{key}");
pub const VERSION: (&str, &str) = ("KeyVersionId", "{version}");
const ALIAS: (&str, &str) = ("AliasName", "{alias}");
const NEW_ALIAS: (&str, &str) = ("AliasName", "alias/new-{n}");
/// What was made with the key: a blob, a signature.
const BLOB: (&str, &str) = ("CiphertextBlob", "{made}");
const SIGNATURE: (&str, &str) = ("Value", "{made}");
pub const TEXT: (&str, &str) = ("Plaintext", "YQ==");
pub const DIGEST: (&str, &str) = ("Digest", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
pub const PSS: (&str, &str) = ("Algorithm", "RSA_PSS_SHA_256");
pub const ALGORITHM: (&str, &str) = ("Algorithm", "RSAES_OAEP_SHA_256");
pub const HMAC: (&str, &str) = ("Algorithm", "HMAC_SHA_256");
pub const MESSAGE: (&str, &str) = ("Message", "YQ==");
/// A key that stays Enabled, and a blob under it.
const TO_OTHER: (&str, &str) = ("DestinationKeyId", "{other}");
const OTHERS_BLOB: (&str, &str) = ("CiphertextBlob", "{others}");
/// A public key that data keys are exported under.
const PUBLIC: (&str, &str) = ("PublicKeyBlob", "{public}");
pub const RSA: (&str, &str) = ("WrappingKeySpec", "RSA_2048");
pub const OAEP: (&str, &str) = ("WrappingAlgorithm", "RSAES_OAEP_SHA_256");
/// Material, encrypted, and the token that goes with it.
const MATERIAL: (&str, &str) = ("EncryptedKeyMaterial", "{wrapped}");
const TOKEN: (&str, &str) = ("ImportToken", "{token}");
const KEY_1: (&str, &str) = ("ResourceId.1", "{key}");
const TYPE: (&str, &str) = ("ResourceType", "key");
const REGION: (&str, &str) = ("RegionId", "cn-hangzhou");
const POLICY: (&str, &str) = (
    "Policy",
    r#"{"Version":"1","Statement":[{"Effect":"Allow","Principal":{"RAM":["acs:ram::{account}:user/ann"]},"Action":["kms:Decrypt"],"Resource":["*"]}]}"#,
);
/// A secret under the key, made while that was Enabled.
const SECRET: (&str, &str) = ("SecretName", "{secret}");
const UNDER: (&str, &str) = ("EncryptionKeyId", "{key}");
const NEW_SECRET: (&str, &str) = ("SecretName", "new/{n}");
const NEW_VERSION: (&str, &str) = ("VersionId", "v-{n}");
const VALUE: (&str, &str) = ("SecretData", "value");

/// Of symmetric keys. The states but PendingImport are those of a key made on the token.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    ("CancelKeyDeletion",    &[KEY],                                       [CHANGE,   CHANGE,   OK,      CHANGE]),
    ("CreateAlias",          &[KEY, NEW_ALIAS],                            [OK,       OK,       CHANGE,  OK]),
    ("CreateKey",            &[],                                          [OK,       OK,       OK,      OK]),
    ("CreateKeyVersion",     &[KEY],                                       [TOO_SOON, DISABLED, PENDING, IMPORT]),
    ("DeleteAlias",          &[ALIAS],                                     [OK,       OK,       OK,      OK]),
    ("DescribeKey",          &[KEY],                                       [OK,       OK,       OK,      OK]),
    ("DescribeKeyVersion",   &[KEY, VERSION],                              [OK,       OK,       OK,      OK]),
    ("DisableKey",           &[KEY],                                       [OK,       OK,       CHANGE,  CHANGE]),
    ("EnableKey",            &[KEY],                                       [OK,       OK,       CHANGE,  CHANGE]),
    ("ListAliases",          &[],                                          [OK,       OK,       OK,      OK]),
    ("ListAliasesByKeyId",   &[KEY],                                       [OK,       OK,       OK,      OK]),
    ("ListKeyVersions",      &[KEY],                                       [OK,       OK,       OK,      OK]),
    ("ListKeys",             &[],                                          [OK,       OK,       OK,      OK]),
    ("ScheduleKeyDeletion",  &[KEY, ("PendingWindowInDays", "7")],         [OK,       OK,       CHANGE,  OK]),
    ("SetDeletionProtection", &[KEY, ("EnableDeletionProtection", "false")], [OK,     OK,       PENDING, OK]),
    ("TagResource",          &[KEY, ("Tags", r#"[{"TagKey":"k","TagValue":"v"}]"#)], [OK, OK,  PENDING, OK]),
    ("UntagResource",        &[KEY, ("TagKeys", r#"["k"]"#)],              [OK,       OK,       PENDING, OK]),
    ("TagResources",         &[KEY_1, TYPE, REGION, ("Tag.1.Key", "k")],   [OK,       OK,       PENDING, OK]),
    ("UntagResources",       &[KEY_1, TYPE, REGION, ("TagKey.1", "k")],    [OK,       OK,       PENDING, OK]),
    ("ListTagResources",     &[KEY_1, TYPE, REGION],                       [OK,       OK,       OK,      OK]),
    ("GetKeyPolicy",         &[KEY],                                       [OK,       OK,       OK,      OK]),
    ("SetKeyPolicy",         &[KEY, POLICY],                               [OK,       OK,       PENDING, OK]),
    ("ListResourceTags",     &[KEY],                                       [OK,       OK,       OK,      OK]),
    ("UpdateAlias",          &[KEY, ALIAS],                                [OK,       OK,       PENDING, OK]),
    ("UpdateKeyDescription", &[KEY, ("Description", "text")],              [OK,       OK,       PENDING, OK]),
    ("UpdateRotationPolicy", &[KEY, ("EnableAutomaticRotation", "false")], [OK,       DISABLED, PENDING, IMPORT]),
    ("Encrypt",              &[KEY, TEXT],                                 [OK,       DISABLED, PENDING, IMPORT]),
    ("Decrypt",              &[BLOB],                                      [OK,       DISABLED, PENDING, IMPORT]),
    ("GenerateDataKey",      &[KEY],                                       [OK,       DISABLED, PENDING, IMPORT]),
    ("GenerateDataKeyWithoutPlaintext", &[KEY],                            [OK,       DISABLED, PENDING, IMPORT]),
    ("GenerateAndExportDataKey", &[KEY, PUBLIC, RSA, OAEP],                [OK,       DISABLED, PENDING, IMPORT]),
    ("ExportDataKey",        &[BLOB, PUBLIC, RSA, OAEP],                   [OK,       DISABLED, PENDING, IMPORT]),
    ("ReEncrypt",            &[BLOB, TO_OTHER],                            [OK,       DISABLED, PENDING, IMPORT]),
    ("ReEncrypt",            &[OTHERS_BLOB, ("DestinationKeyId", "{key}")], [OK,      DISABLED, PENDING, IMPORT]),
    ("CreateSecret",         &[NEW_SECRET, NEW_VERSION, VALUE, UNDER],     [OK,       DISABLED, PENDING, IMPORT]),
    ("PutSecretValue",       &[SECRET, NEW_VERSION, VALUE],                [OK,       DISABLED, PENDING, IMPORT]),
    ("GetSecretValue",       &[SECRET],                                    [OK,       DISABLED, PENDING, IMPORT]),
    ("DescribeSecret",       &[SECRET],                                    [OK,       OK,       OK,      OK]),
    ("ListSecretVersionIds", &[SECRET],                                    [OK,       OK,       OK,      OK]),
    ("UpdateSecret",         &[SECRET, ("Description", "text")],           [OK,       OK,       OK,      OK]),
    ("GetParametersForImport", &[KEY, RSA, OAEP],                          [ORIGIN,   ORIGIN,   ORIGIN,  OK]),
    ("ImportKeyMaterial",    &[KEY, MATERIAL, TOKEN],                      [ORIGIN,   ORIGIN,   ORIGIN,  OK]),
    ("DeleteKeyMaterial",    &[KEY],                                       [ORIGIN,   ORIGIN,   ORIGIN,  OK]),
];

/// Of EXTERNAL keys that have had material: the operations on that, those that no such key can be used for, and the use of the key.
#[rustfmt::skip]
pub const EXTERNAL: &[Row] = &[
    ("GetParametersForImport", &[KEY, RSA, OAEP],                          [OK,       OK,       OK,      OK]),
    ("ImportKeyMaterial",    &[KEY, MATERIAL, TOKEN],                      [OK,       OK,       CHANGE,  OK]),
    ("DeleteKeyMaterial",    &[KEY],                                       [OK,       OK,       OK,      OK]),
    ("CreateKeyVersion",     &[KEY],                                       [UNFIT,    DISABLED, PENDING, IMPORT]),
    ("UpdateRotationPolicy", &[KEY, ("EnableAutomaticRotation", "false")], [UNFIT,    DISABLED, PENDING, IMPORT]),
    ("CancelKeyDeletion",    &[KEY],                                       [CHANGE,   CHANGE,   OK,      CHANGE]),
    ("DisableKey",           &[KEY],                                       [OK,       OK,       CHANGE,  CHANGE]),
    ("EnableKey",            &[KEY],                                       [OK,       OK,       CHANGE,  CHANGE]),
    ("ScheduleKeyDeletion",  &[KEY, ("PendingWindowInDays", "7")],         [OK,       OK,       CHANGE,  OK]),
    ("Encrypt",              &[KEY, TEXT],                                 [OK,       DISABLED, PENDING, IMPORT]),
    ("Decrypt",              &[BLOB],                                      [OK,       DISABLED, PENDING, IMPORT]),
    ("GetSecretValue",       &[SECRET],                                    [OK,       DISABLED, PENDING, IMPORT]),
];

/// Of pairs that sign, of pairs that decrypt, and of MAC keys, which are never imported.
#[rustfmt::skip]
pub const SIGNING: &[Row] = &[
    ("AsymmetricSign",       &[KEY, VERSION, PSS, DIGEST],                 [OK,       DISABLED, PENDING, NEVER]),
    ("AsymmetricVerify",     &[KEY, VERSION, PSS, DIGEST, SIGNATURE],      [OK,       DISABLED, PENDING, NEVER]),
    ("GetPublicKey",         &[KEY, VERSION],                              [OK,       DISABLED, PENDING, NEVER]),
    ("CreateKeyVersion",     &[KEY],                                       [TOO_SOON, DISABLED, PENDING, NEVER]),
    ("UpdateRotationPolicy", &[KEY, ("EnableAutomaticRotation", "false")], [UNFIT,    DISABLED, PENDING, NEVER]),
];

#[rustfmt::skip]
pub const DECRYPTING: &[Row] = &[
    ("AsymmetricEncrypt",    &[KEY, VERSION, ALGORITHM, TEXT],             [OK,       DISABLED, PENDING, NEVER]),
    ("AsymmetricDecrypt",    &[KEY, VERSION, ALGORITHM, BLOB],             [OK,       DISABLED, PENDING, NEVER]),
    ("ReEncrypt",            &[BLOB, ("SourceKeyId", "{key}"), ("SourceKeyVersionId", "{version}"),
                               ("SourceEncryptionAlgorithm", "RSAES_OAEP_SHA_256"), TO_OTHER],
                                                                           [OK,       DISABLED, PENDING, NEVER]),
];

#[rustfmt::skip]
pub const MAC: &[Row] = &[
    ("GenerateMac",          &[KEY, HMAC, MESSAGE],                        [OK,       DISABLED, PENDING, NEVER]),
    ("VerifyMac",            &[KEY, HMAC, MESSAGE, ("Mac", "{made}")],     [OK,       DISABLED, PENDING, NEVER]),
    ("CreateKeyVersion",     &[KEY],                                       [UNFIT,    DISABLED, PENDING, NEVER]),
    ("UpdateRotationPolicy", &[KEY, ("EnableAutomaticRotation", "false")], [UNFIT,    DISABLED, PENDING, NEVER]),
];

/// Served operations on no key, besides those on secrets.
pub const NOT_ON_A_KEY: &[&str] = &[
    "ConnectKmsInstance",
    "CreateApplicationAccessPoint",
    "CreateClientKey",
    "CreateNetworkRule",
    "CreatePolicy",
    "DeleteApplicationAccessPoint",
    "DeleteClientKey",
    "DeleteNetworkRule",
    "DeletePolicy",
    "DescribeAccountKmsStatus",
    "DescribeApplicationAccessPoint",
    "DescribeNetworkRule",
    "DescribePolicy",
    "DescribeRegions",
    "GetCallerIdentity",
    "GetChallenge",
    "GetClientKey",
    "GetDefaultKmsInstance",
    "GetKmsInstance",
    "GetKmsInstanceQuotaInfos",
    "GetManagedDataKey",
    "GetRandomPassword",
    "ListApplicationAccessPoints",
    "ListClientKeys",
    "ListKmsInstances",
    "ListManagedDataKeyVersions",
    "ListNetworkRules",
    "ListPolicies",
    "OpenKmsService",
    "ReleaseKmsInstance",
    "UpdateApplicationAccessPoint",
    "UpdateKmsInstanceBindVpc",
    "UpdateNetworkRule",
    "UpdatePolicy",
];
