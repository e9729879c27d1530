//! Import of key material (Origin EXTERNAL): a key without material, parameters to send some, material that comes and goes.
//!
//! Owns: the steps of an import over database and token. Must not know: HTTP, PKCS#11. Called by: api, jobs.
//! Source of the rules: the pages of GetParametersForImport, ImportKeyMaterial and DeleteKeyMaterial.
//!
//! | file | answers |
//! |---|---|
//! | `parameters.rs` | wrapping pairs: made, found again by their token, condemned |
//! | `token.rs` | the import token's bytes |
//! | `pair.rs` | unwrapping in this process, where the token cannot |
//! | `material.rs` | material: checked, brought to the token, taken off it, condemned |

pub(super) mod material;
mod pair;
pub(super) mod parameters;
mod token;

use crate::auth::Caller;
use crate::base::ids::KeyRef;
use crate::base::words::{KeyState, Origin};
use crate::error::Error;
use crate::keys::find::find;
use crate::keys::{KeyDescription, Keys, NewKey, create};
use crate::store::{Abort, KeyRow, KeyVersionRow, Tx};

impl Keys {
    /// Makes a key that waits for its material. Nothing is made on the token.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`], [`Error::TokenFull`], [`Error::Unavailable`].
    pub(super) fn create_external(&self, caller: &Caller, new: &NewKey) -> Result<KeyDescription, Error> {
        let (key, version) = create::new_rows(&caller.account, new, false, caller.now());
        let key = KeyRow { state: KeyState::PendingImport, ..key };
        // It is never in the making: what becomes of its material is told by rows of their own.
        let version = KeyVersionRow { ready: true, ..version };
        self.store.commit(&caller.effect, "key_external", |tx| {
            self.check_quota(tx, &key.account_id)?;
            // For its material.
            self.check_room(tx, key.spec.objects())?;
            create::begin(tx, &key, &version)?;
            create::attach_tags_and_policy(tx, key.clone(), new)
        })
    }
}

/// The key that a caller imports to.
fn external(tx: &mut Tx<'_>, caller: &Caller, key: &KeyRef) -> Result<KeyRow, Abort<Error>> {
    let key = find(tx, caller, key)?;
    if key.origin == Origin::External { Ok(key) } else { Err(Abort::App(Error::OriginNotSupported)) }
}
