//! Import of key material (Origin EXTERNAL): a key without material, parameters to send some, material that comes and goes.
//!
//! Owns: the steps of an import over database and token. Must not know: HTTP, PKCS#11. Called by: api, jobs.
//! Source of the rules: the pages of GetParametersForImport, ImportKeyMaterial and DeleteKeyMaterial.
//!
//! | file | answers |
//! |---|---|
//! | `parameters.rs` | wrapping pairs: made, found again by their token, swept |
//! | `token.rs` | the import token's bytes |
//! | `pair.rs` | unwrapping in this process, where the token cannot |
//! | `material.rs` | material: checked, brought to the token, taken off it, expired |

mod material;
mod pair;
mod parameters;
mod token;

pub use parameters::ImportParameters;

use crate::auth::Caller;
use crate::error::Error;
use crate::ids::{KeyName, KeyRef};
use crate::keys::{Keys, NewKey, alias, lifecycle};
use crate::kinds::{KeyState, Origin};
use crate::store::{Abort, KeyRow, Tagged, Tx};

impl Keys {
    /// Makes a key that waits for its material. Nothing is made on the token.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`], [`Error::Unavailable`].
    pub(super) fn create_external(&self, caller: &Caller, new: &NewKey) -> Result<KeyRow, Error> {
        let (key, version) = lifecycle::rows(&caller.account, new, false, self.clock.now());
        let key = KeyRow { state: KeyState::PendingImport, ..key };
        caller.commit(&self.store, "key_external", |tx| {
            self.check_quota(tx, &key.account_id)?;
            lifecycle::begin(tx, &key, &version)?;
            for (tag_key, tag_value) in &new.tags {
                tx.tag_put(&key.account_id, Tagged::Key(key.id), tag_key, tag_value)?;
            }
            Ok(key.clone())
        })
    }
}

/// The key that a caller imports to.
fn external(tx: &mut Tx<'_>, caller: &Caller, key: &KeyRef) -> Result<KeyRow, Abort<Error>> {
    if matches!(key.name, KeyName::Alias(_)) {
        return Err(Abort::App(Error::AliasNotAllowed));
    }
    let key = alias::find(tx, caller, key)?;
    if key.origin == Origin::External { Ok(key) } else { Err(Abort::App(Error::OriginNotSupported)) }
}
