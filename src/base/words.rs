//! The closed vocabularies of the API: what kinds of keys, states and secrets there are, each with its one spelling.
//!
//! Owns: the words. Must not know: what they allow (see `keys`, `secrets`). Used by all.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::ids::Malformed;

/// A word list: an enum, its wire text, and parsing that accepts exactly those texts.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every word, in the order of the documentation.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The wire and database text.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                match text { $($text => Ok($name::$variant),)+ _ => Err(Malformed(concat!("one of" $(, " ", $text)+))) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

words! {
    /// What a master key is made of (CreateKey, KeySpec).
    KeySpec {
        /// AES with 256 bits, the default.
        Aes256 = "Aliyun_AES_256",
        /// AES with 192 bits.
        Aes192 = "Aliyun_AES_192",
        /// AES with 128 bits.
        Aes128 = "Aliyun_AES_128",
        /// SM4.
        Sm4 = "Aliyun_SM4",
        /// Triple DES with three keys.
        Des3 = "Aliyun_DES3_192",
        /// RSA with 2,048 bits.
        Rsa2048 = "RSA_2048",
        /// RSA with 3,072 bits.
        Rsa3072 = "RSA_3072",
        /// RSA with 4,096 bits.
        Rsa4096 = "RSA_4096",
        /// The curve P-256 of NIST, secp256r1.
        EcP256 = "EC_P256",
        /// The curve secp256k1.
        EcP256k = "EC_P256K",
        /// SM2.
        EcSm2 = "EC_SM2",
        /// A key for HMAC with SM3.
        HmacSm3 = "HMAC_SM3",
        /// A key for HMAC with SHA-224; 28 bytes, as long as its MACs. So for the others.
        HmacSha224 = "HMAC_SHA_224",
        /// A key for HMAC with SHA-256.
        HmacSha256 = "HMAC_SHA_256",
        /// A key for HMAC with SHA-384.
        HmacSha384 = "HMAC_SHA_384",
        /// A key for HMAC with SHA-512.
        HmacSha512 = "HMAC_SHA_512",
    }
    /// What a master key may be used for (CreateKey, KeyUsage).
    KeyUsage {
        /// Encryption and decryption.
        EncryptDecrypt = "ENCRYPT/DECRYPT",
        /// Signature and verification.
        SignVerify = "SIGN/VERIFY",
        /// Message authentication codes.
        GenerateVerifyMac = "GENERATE/VERIFY_MAC",
    }
    /// State of a master key.
    KeyState {
        /// The row is there, the token object not proved yet. Never shown: such a key is not found.
        Creating = "Creating",
        /// In use.
        Enabled = "Enabled",
        /// Not to be used until enabled again.
        Disabled = "Disabled",
        /// Will be destroyed at its DeleteDate.
        PendingDeletion = "PendingDeletion",
        /// Its window is over. Never shown: such a key is not found; the row stays while a secret names it.
        Deleted = "Deleted",
        /// Has no material: none was imported yet, or it was deleted or has expired. Origin EXTERNAL only.
        PendingImport = "PendingImport",
    }
    /// What a policy of an access point allows (CreatePolicy, Permissions).
    AccessPermission {
        /// To use keys: encrypt, decrypt, make data keys, sign, verify, MAC.
        KeyUser = "RbacPermission/Template/CryptoServiceKeyUser",
        /// To read secrets.
        SecretUser = "RbacPermission/Template/CryptoServiceSecretUser",
    }
    /// Where key material comes from (CreateKey, Origin).
    Origin {
        /// Made on the token.
        Service = "Aliyun_KMS",
        /// Imported by the caller.
        External = "EXTERNAL",
    }
    /// How imported material is encrypted on its way here (GetParametersForImport, WrappingAlgorithm).
    ImportAlgorithm {
        /// RSA PKCS #1 version 1.5.
        Pkcs1 = "RSAES_PKCS1_V1_5",
        /// RSA-OAEP with SHA-1 and MGF1 of the same.
        OaepSha1 = "RSAES_OAEP_SHA_1",
        /// RSA-OAEP with SHA-256 and MGF1 of the same.
        OaepSha256 = "RSAES_OAEP_SHA_256",
    }
    /// Where the material of an EXTERNAL key's version is. Not on the wire.
    MaterialState {
        /// On its way to the token.
        Importing = "Importing",
        /// On the token.
        Present = "Present",
        /// On its way off the token.
        Removing = "Removing",
        /// Not on the token; only the same may come again.
        Absent = "Absent",
    }
    /// Length of a data key (GenerateDataKey, KeySpec).
    DataKeySpec {
        /// 32 bytes, the default.
        Aes256 = "AES_256",
        /// 16 bytes.
        Aes128 = "AES_128",
    }
    /// Encryption with a public key (AsymmetricEncrypt, Algorithm; ExportDataKey, WrappingAlgorithm).
    EncryptionAlgorithm {
        /// RSAES-OAEP, SHA-256 and MGF1 with SHA-256.
        OaepSha256 = "RSAES_OAEP_SHA_256",
        /// RSAES-OAEP, SHA-1 and MGF1 with SHA-1.
        OaepSha1 = "RSAES_OAEP_SHA_1",
        /// SM2 public-key encryption.
        Sm2Pke = "SM2PKE",
    }
    /// Signature of a digest (AsymmetricSign, Algorithm).
    SignatureAlgorithm {
        /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and 32 bytes of salt.
        RsaPssSha256 = "RSA_PSS_SHA_256",
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        RsaPkcs1Sha256 = "RSA_PKCS1_SHA_256",
        /// ECDSA with SHA-256; the signature in DER.
        EcdsaSha256 = "ECDSA_SHA_256",
        /// SM2 signature with SM3.
        Sm2Dsa = "SM2DSA",
    }
    /// Message authentication code (GenerateMac, Algorithm).
    MacAlgorithm {
        /// HMAC with SM3.
        HmacSm3 = "HMAC_SM3",
        /// HMAC with SHA-224.
        HmacSha224 = "HMAC_SHA_224",
        /// HMAC with SHA-256.
        HmacSha256 = "HMAC_SHA_256",
        /// HMAC with SHA-384.
        HmacSha384 = "HMAC_SHA_384",
        /// HMAC with SHA-512.
        HmacSha512 = "HMAC_SHA_512",
    }
    /// The kind of public key that a data key is exported under (ExportDataKey, WrappingKeySpec).
    WrappingKeySpec {
        /// RSA with 2,048 bits.
        Rsa2048 = "RSA_2048",
        /// SM2.
        EcSm2 = "EC_SM2",
    }
    /// Where key material lives (CreateKey, ProtectionLevel).
    ProtectionLevel {
        /// The API's default word; the material is on the token all the same.
        Software = "SOFTWARE",
        /// On a hardware module.
        Hsm = "HSM",
    }
    /// Kind of a secret (CreateSecret, SecretType).
    SecretType {
        /// A value that the caller manages.
        Generic = "Generic",
        /// Accounts of a database server, whose passwords the service changes.
        Rds = "Rds",
        /// Accounts of a cloud service; not served.
        Redis = "Redis",
        /// Accounts of a cloud service; not served.
        PolarDb = "PolarDB",
        /// Access keys of a cloud service; not served.
        RamCredentials = "RAMCredentials",
        /// Accounts of a cloud's machines; not served.
        Ecs = "ECS",
    }
    /// What speaks the protocol of a server whose accounts are rotated.
    Engine {
        /// PostgreSQL 10 or later, where SCRAM verifiers are known.
        Postgres = "postgresql",
        /// MariaDB.
        MariaDb = "mariadb",
        /// MySQL 5.7 or later.
        MySql = "mysql",
    }
    /// What protects the file of a client key under its password (docs/adr/0005).
    ClientKeyCipher {
        /// Triple DES and a SHA-1 MAC: every official client opens it.
        TripleDes = "3des",
        /// AES-256 and a SHA-256 MAC: no client in Go, and none on a Java older than 8u301 or 11.0.12, opens it.
        Aes256 = "aes-256",
    }
    /// How many accounts a managed secret takes turns between (CreateSecret, ExtendedConfig: SecretSubType).
    SecretSubType {
        /// One, whose password changes in place.
        SingleUser = "SingleUser",
        /// Two, of which the one that is not served gets the new password.
        DoubleUsers = "DoubleUsers",
    }
    /// Whether a managed secret is rotated by itself (GetSecretValue).
    AutomaticRotation {
        /// On its schedule.
        Enabled = "Enabled",
        /// Only when it is asked for.
        Disabled = "Disabled",
        /// The last attempt failed.
        Invalid = "Invalid",
    }
    /// What can carry tags (TagResources, ResourceType).
    ResourceType {
        /// A master key.
        Key = "key",
        /// A secret.
        Secret = "secret",
    }
    /// What a secret's value is (CreateSecret, SecretDataType).
    DataType {
        /// Text.
        Text = "text",
        /// Base64 text of bytes; kept as given.
        Binary = "binary",
    }
}

/// How bytes are encrypted on the token; chosen by a probe at `bulla init`, stored in every object (docs/formats.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Suite {
    /// S1: CKM_AES_GCM, 96-bit IV from the caller, 128-bit tag.
    AesGcmCallerIv = 1,
    /// S2: CKM_AES_GCM, the token makes the IV and writes it into the parameter.
    AesGcmTokenIv = 2,
    /// S2: CKM_AES_GCM, the token makes the IV and appends it to the ciphertext.
    AesGcmAppendedIv = 3,
    /// S3: CKM_AES_CBC_PAD, then CKM_SHA256_HMAC over context, IV and ciphertext.
    AesCbcHmac = 4,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Suite; 4] = [Suite::AesGcmCallerIv, Suite::AesGcmTokenIv, Suite::AesGcmAppendedIv, Suite::AesCbcHmac];

    /// The suite with this stored number; an unknown one is refused, never guessed.
    pub fn from_number(number: i16) -> Option<Self> {
        Suite::ALL.into_iter().find(|suite| suite.number() == number)
    }

    /// The stored number.
    pub fn number(self) -> i16 {
        self as i16
    }

    /// Its name in the documentation, and its mechanism.
    pub fn name(self) -> &'static str {
        match self {
            Suite::AesGcmCallerIv => "S1: CKM_AES_GCM, the IV is the service's",
            Suite::AesGcmTokenIv => "S2: CKM_AES_GCM, the IV is the token's, in the parameter",
            Suite::AesGcmAppendedIv => "S2: CKM_AES_GCM, the IV is the token's, behind the ciphertext",
            Suite::AesCbcHmac => "S3: CKM_AES_CBC_PAD, then CKM_SHA256_HMAC",
        }
    }
}
