//! Client keys: RSA pairs whose private half the caller gets once and whose public half verifies the requests signed with it.
//!
//! Owns: making, deleting and listing them. Must not know: how a request is signed. Called by: api.

use super::AccessPoints;
use super::access_points::find;
use super::pkcs12;
use crate::auth::Caller;
use crate::auth::access_point::grammar::absent;
use crate::base::clock::Timestamp;
use crate::base::field::{Field, Why};
use crate::base::ids::{AccessKeyId, AccessPointName};
use crate::base::secret::Password;
use crate::error::Error;
use crate::store::{Abort, ClientKeyRow, Tx};

/// How long a client key is valid where nothing else is said: five years, in days.
const VALID_DAYS: u32 = 5 * 365;

/// Client keys that an access point may have at a time: enough to change one for another.
const KEYS_PER_POINT: usize = 10;

/// A client key about to be made.
pub struct NewClientKey {
    /// The access point that it belongs to.
    pub access_point: AccessPointName,
    /// Protects the private half.
    pub password: Password,
    /// Not valid before; from now on where none is given.
    pub not_before: Option<Timestamp>,
    /// Not valid after; five years later where none is given.
    pub not_after: Option<Timestamp>,
}

/// A client key.
pub struct ClientKey {
    /// Its id, which requests name.
    pub id: AccessKeyId,
    /// The access point that it belongs to.
    pub access_point: AccessPointName,
    /// SubjectPublicKeyInfo in DER.
    pub public_key: Vec<u8>,
    /// Not valid before.
    pub not_before: Timestamp,
    /// Not valid after.
    pub not_after: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

impl AccessPoints {
    /// Makes a client key. Answers it with its private half as a PKCS #12 file, which is kept nowhere.
    ///
    /// # Errors
    /// [`Error::ResourceNotFound`]; [`Error::Invalid`] for a time of validity that is over or empty;
    /// [`Error::LimitExceeded`] when the access point has ten; [`Error::Unavailable`].
    pub fn client_key_create(&self, caller: &Caller, new: &NewClientKey) -> Result<(ClientKey, Vec<u8>), Error> {
        let now = caller.now();
        let not_before = new.not_before.unwrap_or(now);
        let not_after = new.not_after.unwrap_or_else(|| not_before.plus_days(VALID_DAYS));
        if not_after <= not_before || not_after <= now {
            let why = Why::naming("It must be later than {} and than now.", &[Field::NotBefore]);
            return Err(Error::invalid_since(Field::NotAfter, why));
        }
        // Before the work of making a pair, and once more with the insertion.
        self.store.read("client_key_room", |tx| has_room(tx, caller, &new.access_point))?;
        let id = AccessKeyId::of_client_key();
        let made = pkcs12::make(id.as_str(), &new.password, self.cipher, not_before, not_after)?;
        let row = ClientKeyRow {
            id,
            account_id: caller.account.clone(),
            access_point: new.access_point.clone(),
            public_key: made.public_key,
            not_before,
            not_after,
            created_at: now,
        };
        self.store.commit(&caller.effect, "client_key_create", |tx| {
            has_room(tx, caller, &new.access_point)?;
            Ok(tx.client_key_insert(&row)?)
        })?;
        Ok((shown(row), made.file))
    }

    /// A client key.
    ///
    /// # Errors
    /// [`Error::ResourceNotFound`], [`Error::Unavailable`].
    pub fn client_key(&self, caller: &Caller, id: &AccessKeyId) -> Result<ClientKey, Error> {
        self.store.read("client_key", |tx| {
            let found = tx.client_key_by_id(id)?.filter(|key| key.account_id == caller.account);
            found.map(shown).ok_or_else(|| absent("client key", id))
        })
    }

    /// Deletes a client key. What is signed with it is refused on every node within a second.
    ///
    /// # Errors
    /// [`Error::ResourceNotFound`], [`Error::Unavailable`].
    pub fn client_key_delete(&self, caller: &Caller, id: &AccessKeyId) -> Result<(), Error> {
        self.store.commit(&caller.effect, "client_key_delete", |tx| {
            let found = tx.client_key_by_id(id)?.filter(|key| key.account_id == caller.account);
            let key = found.ok_or_else(|| absent("client key", id))?;
            tx.client_key_delete(&key)?;
            Ok(())
        })
    }

    /// The client keys of the account, or of one of its access points, oldest first.
    ///
    /// # Errors
    /// [`Error::ResourceNotFound`] for an access point that does not exist; [`Error::Unavailable`].
    pub fn client_keys(&self, caller: &Caller, access_point: Option<&AccessPointName>) -> Result<Vec<ClientKey>, Error> {
        self.store.read("client_keys", |tx| {
            if let Some(name) = access_point {
                find(tx, &caller.account, name)?;
            }
            let rows = tx.client_keys_of(&caller.account, access_point)?;
            Ok(rows.into_iter().map(shown).collect())
        })
    }
}

/// That the access point exists and may have one more.
fn has_room(tx: &mut Tx<'_>, caller: &Caller, access_point: &AccessPointName) -> Result<(), Abort<Error>> {
    find(tx, &caller.account, access_point)?;
    match tx.client_keys_of(&caller.account, Some(access_point))?.len() {
        KEYS_PER_POINT.. => {
            Err(Abort::App(Error::LimitExceeded { most: KEYS_PER_POINT as i64, of: "client keys of an access point" }))
        }
        _ => Ok(()),
    }
}

fn shown(row: ClientKeyRow) -> ClientKey {
    let ClientKeyRow { id, access_point, public_key, not_before, not_after, created_at, .. } = row;
    ClientKey { id, access_point, public_key, not_before, not_after, created_at }
}
