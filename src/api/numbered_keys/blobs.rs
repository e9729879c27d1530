//! What is encrypted and decrypted under a key, several at once; all of them or none.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::api::numbered_keys::{Versions, newest, number, versions};
use crate::api::versions::ready;
use crate::api::{Context, Effect, Operation, Target, UsedKey};
use crate::base::ids::KeyRef;
use crate::base::secret::Plaintext;
use crate::error::Error;
use crate::keys::{Blob, Encrypted, Use, wrong_blob};

/// What an item is bound to.
type Bound = BTreeMap<String, String>;

/// What is to be encrypted.
pub struct Encrypting {
    /// The key.
    pub key: KeyRef,
    /// Each, and what it is bound to.
    pub items: Vec<(Plaintext, Bound)>,
    /// Numbers of versions that are asked for: all must be the newest's, which encrypts.
    pub versions: Vec<usize>,
}

/// What was encrypted.
pub struct Ciphertext {
    /// The number of the version that made it, as it is said.
    pub version: usize,
    /// The bytes of the blob.
    pub blob: Vec<u8>,
    /// What it is bound to.
    pub bound: Bound,
}

/// What is to be decrypted.
pub struct Decrypting {
    /// The key.
    pub key: KeyRef,
    /// Each.
    pub items: Vec<Ciphertext>,
    /// Numbers of versions that are asked for where it is encrypted again: all must be the newest's.
    pub versions: Vec<usize>,
}

/// A data key that is to be made.
pub struct NewKeyBytes {
    /// The key.
    pub key: KeyRef,
    /// How many bytes.
    pub length: usize,
    /// What it is bound to.
    pub bound: Bound,
    /// Whether it is given out.
    pub shown: bool,
    /// The number of the version that is asked for: it must be the newest's, which encrypts.
    pub version: Option<usize>,
}

/// A blob, and the number of the version that made it.
pub struct Sealed {
    /// Its bytes.
    pub blob: Vec<u8>,
    /// The version's number.
    pub version: usize,
}

ready!(Encrypting, Decrypting, NewKeyBytes);

/// The key's versions are looked up once, behind the last item: the list then has each that made one.
fn numbered(cx: &Context<'_>, purpose: Use, made: Vec<Encrypted>, asked: &[usize]) -> Result<Vec<Sealed>, Error> {
    let versions = versions(cx, cx.key_for(purpose)?.key())?;
    let sealed = |Encrypted { key_version, blob, .. }| {
        let version = number(&versions, &key_version)?;
        asked.iter().try_for_each(|asked| newest(Some(*asked), version))?;
        Ok(Sealed { version, blob })
    };
    made.into_iter().map(sealed).collect()
}

fn encrypt(cx: &Context<'_>, purpose: Use, plaintext: &Plaintext, bound: &Bound) -> Result<Encrypted, Error> {
    cx.keys.encrypt(cx.caller, &cx.key_for(purpose)?, plaintext, bound)
}

fn decrypt(cx: &Context<'_>, purpose: Use, versions: &Versions, item: &Ciphertext) -> Result<Plaintext, Error> {
    let blob = Blob::parse(&item.blob).ok_or_else(wrong_blob)?;
    // Of this key, before the token is asked: of another it has the same answer as one that was changed.
    let version = cx.key_version_for(purpose, &blob.key_version).map_err(|error| match error {
        Error::KeyVersionNotFound => wrong_blob(),
        error => error,
    })?;
    debug_assert_eq!(*version.version(), blob.key_version);
    if number(versions, &blob.key_version)? != item.version {
        return Err(wrong_blob());
    }
    Ok(cx.keys.decrypt(cx.caller, &cx.key_for(purpose)?, &blob, &item.bound)?.plaintext)
}

/// Encrypt.
pub struct NumberedEncrypt;

impl Operation for NumberedEncrypt {
    const NAME: &'static str = "Encrypt";
    const EFFECT: Effect = Effect::Read;
    type Input = Encrypting;
    type Response = Vec<Sealed>;

    fn target(asked: &Encrypting) -> Target<'_> {
        Target::using(Use::Encrypt, UsedKey::Named(&asked.key))
    }

    fn run(cx: &Context<'_>, asked: Encrypting) -> Result<Vec<Sealed>, Error> {
        let made = asked.items.iter().map(|(plaintext, bound)| encrypt(cx, Use::Encrypt, plaintext, bound));
        numbered(cx, Use::Encrypt, made.collect::<Result<_, _>>()?, &asked.versions)
    }
}

/// Decrypt.
pub struct NumberedDecrypt;

impl Operation for NumberedDecrypt {
    const NAME: &'static str = "Decrypt";
    const EFFECT: Effect = Effect::Read;
    type Input = Decrypting;
    type Response = Vec<Plaintext>;

    fn target(asked: &Decrypting) -> Target<'_> {
        Target::using(Use::Decrypt, UsedKey::Named(&asked.key))
    }

    fn run(cx: &Context<'_>, asked: Decrypting) -> Result<Vec<Plaintext>, Error> {
        let versions = versions(cx, cx.key_for(Use::Decrypt)?.key())?;
        asked.items.iter().map(|item| decrypt(cx, Use::Decrypt, &versions, item)).collect()
    }
}

/// ReEncrypt under the newest version of the same key.
pub struct NumberedReEncrypt;

impl Operation for NumberedReEncrypt {
    const NAME: &'static str = "ReEncrypt";
    const EFFECT: Effect = Effect::Read;
    type Input = Decrypting;
    type Response = Vec<Sealed>;

    fn target(asked: &Decrypting) -> Target<'_> {
        let target = Target::using(Use::ReEncryptFrom, UsedKey::Named(&asked.key));
        target.and_using(Use::ReEncryptTo, UsedKey::Named(&asked.key))
    }

    fn run(cx: &Context<'_>, asked: Decrypting) -> Result<Vec<Sealed>, Error> {
        let versions = versions(cx, cx.key_for(Use::ReEncryptFrom)?.key())?;
        let anew = |item: &Ciphertext| {
            let plaintext = decrypt(cx, Use::ReEncryptFrom, &versions, item)?;
            encrypt(cx, Use::ReEncryptTo, &plaintext, &item.bound)
        };
        numbered(cx, Use::ReEncryptTo, asked.items.iter().map(anew).collect::<Result<_, _>>()?, &asked.versions)
    }
}

/// GenerateDataKey, whose blob holds the bytes themselves.
pub struct NumberedDataKey;

impl Operation for NumberedDataKey {
    const NAME: &'static str = "GenerateDataKey";
    const EFFECT: Effect = Effect::Read;
    type Input = NewKeyBytes;
    type Response = (Plaintext, Sealed);

    fn target(asked: &NewKeyBytes) -> Target<'_> {
        Target::using(asked.purpose(), UsedKey::Named(&asked.key))
    }

    fn run(cx: &Context<'_>, asked: NewKeyBytes) -> Result<(Plaintext, Sealed), Error> {
        let mut bytes = Zeroizing::new(vec![0; asked.length]);
        cx.keys.random(&mut bytes)?;
        let key = Plaintext::new(std::mem::take(&mut *bytes));
        let made = encrypt(cx, asked.purpose(), &key, &asked.bound)?;
        let version = number(&versions(cx, &made.key)?, &made.key_version)?;
        newest(asked.version, version)?;
        Ok((key, Sealed { version, blob: made.blob }))
    }
}

impl NewKeyBytes {
    fn purpose(&self) -> Use {
        if self.shown { Use::GenerateDataKey } else { Use::GenerateDataKeyWithoutPlaintext }
    }
}
