//! Counting the encryptions under a key version, over all nodes.
//!
//! Owns: the reservation of uses in the database, before they are used. Must not know: what is encrypted. Called by: keys::{data_key,
//! blobs}, secrets: [`Keys::reserve`] is the only way from an admitted key to the version that encrypts.

use crate::base::ids::{KeyId, KeyVersionId};
use crate::error::Error;
use crate::keys::uses::UseFigures;
use crate::keys::{AdmittedKey, Keys, schedule};
use crate::store::{Abort, KeyVersionRow, Tx};

/// Proof that one encryption under a key's primary version is counted. Whoever encrypts takes it by value.
#[derive(Debug)]
pub struct CountedUse {
    key: KeyId,
    version: KeyVersionId,
}

impl CountedUse {
    /// The key.
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// The version that encrypts.
    pub fn version(&self) -> &KeyVersionId {
        &self.version
    }
}

impl Keys {
    /// Counts one encryption under the key's primary version.
    ///
    /// # Errors
    /// [`Error::KeyUsesExhausted`] when the version has encrypted as often as it may; [`Error::Unavailable`] when the database is
    /// away and this node's block is used up.
    pub fn reserve(&self, key: &AdmittedKey) -> Result<CountedUse, Error> {
        let version = *key.primary();
        self.uses.take(&version, || self.reserve_block(key))?;
        Ok(CountedUse { key: *key.key(), version })
    }

    /// The figures now.
    pub fn use_figures(&self) -> UseFigures {
        self.uses.figures()
    }

    /// Reserves the next block; how many uses it has.
    fn reserve_block(&self, admitted: &AdmittedKey) -> Result<i64, Error> {
        let (key, version) = (admitted.key(), admitted.primary());
        let limits = self.uses.limits();
        let (before, after) = self.store.write("key_uses_reserve", |tx| {
            let row = tx.key_version_by_id(version)?.ok_or(Abort::App(Error::KeyNotFound))?;
            let uses = row.uses + limits.block().min(limits.stop - row.uses);
            if uses <= row.uses {
                return Err(Abort::App(Error::KeyUsesExhausted));
            }
            if uses >= limits.rotate {
                make_rotation_due(tx, admitted)?;
            }
            tx.key_version_update(&row, &KeyVersionRow { uses, ..row.clone() })?;
            Ok::<_, Abort<Error>>((row.uses, uses))
        })?;
        self.uses.reserved(*key, after);
        for (limit, what) in [(limits.warn(), "watch it"), (limits.rotate, "it needs a new version")] {
            if (before..after).contains(&(limit - 1)) {
                log::warn!("version {version} of key {key} has encrypted {limit} times: {what}");
            }
        }
        Ok(after - before)
    }
}

/// Lets the next round of jobs rotate a key whose primary version has encrypted often.
fn make_rotation_due(tx: &mut Tx<'_>, admitted: &AdmittedKey) -> Result<(), Abort<Error>> {
    let key = tx.key_by_id(admitted.key())?.ok_or(Abort::App(Error::KeyNotFound))?;
    if key.primary_version == *admitted.primary() && schedule::rotates(&key).is_ok() {
        schedule::due_now(tx, &key.id, admitted.at())?;
    }
    Ok(())
}
