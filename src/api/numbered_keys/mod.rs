//! Keys by an alias, and their versions by numbers: 1 for the oldest. Operations of doors that speak so.
//!
//! They are the same operations with the same permissions as those of `api::crypto`, asked for in another way.

mod blobs;
mod describe;
mod signatures;

pub use blobs::{
    Ciphertext, Decrypting, Encrypting, NewKeyBytes, NumberedDataKey, NumberedDecrypt, NumberedEncrypt, NumberedReEncrypt,
    Sealed,
};
pub use describe::{DescribeNumbered, NumberedKey};
pub use signatures::{NumberedMac, NumberedSign, NumberedVerify, NumberedVerifyMac, Proof, Signable, Signed, Signing};

use crate::api::Context;
use crate::base::clock::Timestamp;
use crate::base::ids::{KeyId, KeyName, KeyRef, KeyVersionId};
use crate::error::Error;

/// More versions than a key can have: all of them in one page.
const ALL_VERSIONS: i64 = 1000;

/// Versions of a key and when they were made, oldest first.
type Versions = [(KeyVersionId, Timestamp)];

/// The versions of a key that there are, oldest first: the number of one is its place in the list.
fn versions(cx: &Context<'_>, key: &KeyId) -> Result<Vec<(KeyVersionId, Timestamp)>, Error> {
    let by_id = KeyRef { home: None, name: KeyName::Id(key.to_string()) };
    let page = cx.keys.versions(cx.caller, &by_id, 0, ALL_VERSIONS)?;
    Ok(page.versions.into_iter().map(|version| (version.id, version.created_at)).collect())
}

/// The number of a version among those of its key.
fn number(versions: &Versions, version: &KeyVersionId) -> Result<usize, Error> {
    let place = versions.iter().position(|(id, _)| id == version);
    place.map(|place| place + 1).ok_or(Error::KeyVersionNotFound)
}

/// Refuses what asks for another version than that which encrypts, signs, or makes a MAC.
fn newest(asked: Option<usize>, number: usize) -> Result<(), Error> {
    if asked.is_none_or(|asked| asked == number) { Ok(()) } else { Err(Error::KeyVersionNotFound) }
}

/// The version of a number.
fn version(versions: &Versions, number: usize) -> Result<KeyVersionId, Error> {
    let found = number.checked_sub(1).and_then(|place| versions.get(place));
    found.map(|(id, _)| *id).ok_or(Error::KeyVersionNotFound)
}
