//! Cryptographic operations, one file each: what the key is asked for is done on the token.

pub mod asymmetric_decrypt;
pub mod asymmetric_encrypt;
pub mod asymmetric_sign;
pub mod asymmetric_verify;
pub mod decrypt;
pub mod encrypt;
pub mod export_data_key;
mod fields;
pub mod generate_and_export_data_key;
pub mod generate_data_key;
pub mod generate_data_key_without_plaintext;
pub mod generate_mac;
pub mod get_public_key;
pub mod re_encrypt;
pub mod verify_mac;

use serde::Serialize;

use crate::base::ids::{KeyId, KeyVersionId};
use crate::keys::Encrypted;
use fields::Base64;

/// The answer of operations that give out a blob and nothing else.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NewBlob {
    ciphertext_blob: Base64,
    key_id: KeyId,
    key_version_id: KeyVersionId,
}

impl From<Encrypted> for NewBlob {
    fn from(made: Encrypted) -> Self {
        Self { ciphertext_blob: Base64(made.blob), key_id: made.key, key_version_id: made.key_version }
    }
}
