//! Managed secrets: how the accounts of a new one are taken over.
//!
//! Owns: the rules of CreateSecret's accounts, and the rows that are made beside the secret's. Must not know: HTTP, SQL, how a rotation
//! goes (see `rotation`). Called by: api, which names what to adopt; secrets::create.
//!
//! The accounts exist on the server before the secret does, with the passwords that the caller gives; the service never makes an
//! account and grants nothing. With two accounts (DoubleUsers) it is for the server's administrator to give both the same rights,
//! best through a role that both have. The first one's password is served first; the second one's is not kept, as the first
//! rotation replaces it.

use crate::base::field::Field;
use crate::base::ids::{AccountId, InstanceId};
use crate::base::secret::Plaintext;
use crate::base::words::SecretSubType;
use crate::error::Error;
use crate::secrets::Secrets;
use crate::secrets::account::Account;
use crate::secrets::rotation_policy::Rotation;
use crate::secrets::server_failure::server_failure;
use crate::store::{Abort, RotationAccountRow, RotationRow, SecretRow, Tx};

/// What SecretData of a managed secret must be.
const ACCOUNTS: &str = "It must be {\"Accounts\":[{\"AccountName\":\"a\",\"AccountPassword\":\"p\"}]}: one account, or two \
                        different ones for DoubleUsers; passwords are 1 to 128 printable ASCII characters.";

/// What makes a new secret a managed one.
pub struct NewManaged {
    /// Between how many accounts it takes turns.
    pub sub_type: SecretSubType,
    /// The server.
    pub instance: InstanceId,
    /// What the caller keeps with it: a JSON object.
    pub custom_data: String,
    /// From one rotation to the next, ms; none when it is not to rotate by itself.
    pub interval_ms: Option<i64>,
}

/// The rows of a managed secret, without those that every secret has.
pub(super) struct ManagedRows {
    rotation: RotationRow,
    accounts: Vec<RotationAccountRow>,
}

impl Secrets {
    /// Proves on the server that the caller knows the accounts of a secret that is to be made. Gives the value to be served.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming what is wrong: the server is none of this account's, the accounts are not as many as the
    /// sub type says, or the server does not accept one; [`Error::Unavailable`] when the server is away.
    pub(super) fn adopt(
        &self,
        owner: &AccountId,
        new: &NewManaged,
        secret: &SecretRow,
        given: &Plaintext,
    ) -> Result<(Plaintext, ManagedRows), Error> {
        let accounts = Account::given(given).ok_or(Error::invalid_since(Field::SecretData, ACCOUNTS))?;
        let named =
            |a: usize, b: usize| accounts.get(a).map(|account| &account.name) == accounts.get(b).map(|account| &account.name);
        let fits = match new.sub_type {
            SecretSubType::SingleUser => accounts.len() == 1,
            SecretSubType::DoubleUsers => accounts.len() == 2 && !named(0, 1),
        };
        let [first, ..] = accounts.as_slice() else { return Err(Error::invalid_since(Field::SecretData, ACCOUNTS)) };
        if !fits {
            return Err(Error::invalid_since(Field::SecretData, ACCOUNTS));
        }
        let server = self.servers.find(&new.instance, owner).ok_or(Error::invalid_since(
            Field::DatabaseInstance,
            "It must be one that the configuration lets this account use.",
        ))?;
        for account in &accounts {
            match server.accepts(&account.name, &account.password) {
                Ok(true) => {}
                Ok(false) => {
                    return Err(Error::invalid_since(
                        Field::SecretData,
                        "The server does not let this account in with its password.",
                    ));
                }
                Err(error) => return Err(server_failure(&new.instance, &error)),
            }
        }
        let next_at = new.interval_ms.map(|ms| secret.created_at.plus_ms(ms));
        let rotation = RotationRow {
            secret_id: secret.id,
            sub_type: new.sub_type,
            instance: new.instance.clone(),
            custom_data: new.custom_data.clone(),
            interval_ms: new.interval_ms,
            last_at: None,
            next_at,
            pending_id: None,
            pending_uuid: None,
            attempt_at: next_at,
            failures: 0,
            holder: None,
            held_until: None,
        };
        let row = |account: &Account| RotationAccountRow {
            instance: new.instance.clone(),
            name: account.name.clone(),
            secret_id: secret.id,
        };
        Ok((first.value(), ManagedRows { rotation, accounts: accounts.iter().map(row).collect() }))
    }
}

impl ManagedRows {
    /// Inserts them beside their secret.
    pub fn insert(&self, tx: &mut Tx<'_>) -> Result<(), Abort<Error>> {
        for account in &self.accounts {
            if tx.rotation_account(&account.instance, &account.name)?.is_some() {
                return Err(Abort::App(Error::AccountManaged));
            }
            tx.rotation_account_insert(account)?;
        }
        Ok(tx.rotation_insert(&self.rotation)?)
    }

    /// What is told of them.
    pub fn rotation(&self) -> Result<Rotation, Error> {
        Rotation::of(&self.rotation)
    }
}
