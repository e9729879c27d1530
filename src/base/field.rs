//! What a refusal can point at: the parts of a request, in the core's own words.
//!
//! Owns: the closed list. Must not know: how a protocol spells them, or where in a request they stand. Called by: error; each dialect,
//! which spells them ([`Field::name`] is the spelling where a dialect has no other).

macro_rules! fields {
    ($($name:ident),+ $(,)?) => {
        /// A part of a request.
        #[allow(missing_docs, reason = "the names are those of the parameters that docs/api.md describes")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Field {
            $($name),+
        }

        impl Field {
            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Field::$name => stringify!($name)),+
                }
            }
        }
    };
}

fields! {
    AccessKeyId,
    Action,
    Algorithm,
    AliasName,
    AuthenticationMethod,
    Authorization,
    CiphertextBlob,
    CustomData,
    DatabaseInstance,
    EnableAutomaticRotation,
    ExcludeCharacters,
    ExtendedConfig,
    KeyId,
    KeyMaterialExpireUnix,
    KeyUsage,
    KmsInstance,
    Message,
    MoveToVersion,
    NextToken,
    NotAfter,
    NumberOfBytes,
    Origin,
    Plaintext,
    ProtectedResourceArn,
    PublicKeyBlob,
    RecoveryWindowInDays,
    RemoveFromVersion,
    ResourceId,
    RotationInterval,
    SecretData,
    SecretDataType,
    SecretName,
    SecretsList,
    Signature,
    SignatureMethod,
    SignatureNonce,
    SignatureVersion,
    SourceEncryptionAlgorithm,
    SourceEncryptionContext,
    SourceKeyId,
    SourceKeyVersionId,
    Tag,
    TagKey,
    Timestamp,
    Type,
    Version,
    VersionStage,
    WrappingAlgorithm,
    WrappingKeySpec,
}
