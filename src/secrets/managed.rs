//! Managed secrets: what is known of them beside their versions, how they are made, and how their rotation is set.
//!
//! Owns: the rules of CreateSecret's accounts, of ExtendedConfig, and of UpdateSecretRotationPolicy. Must not know: HTTP, SQL, how
//! a rotation goes (see `rotation`). Called by: api, and secrets::{create, describe, update, value}.
//!
//! The accounts exist on the server before the secret does, with the passwords that the caller gives; the service never makes an
//! account and grants nothing. With two accounts (DoubleUsers) it is for the server's administrator to give both the same rights,
//! best through a role that both have. The first one's password is served first; the second one's is not kept, as the first
//! rotation replaces it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::field::{Field, Why};
use crate::base::ids::{AccountId, InstanceId, SecretRef};
use crate::base::secret::Plaintext;
use crate::base::words::{AutomaticRotation, SecretSubType};
use crate::error::Error;
use crate::secrets::Secrets;
use crate::secrets::account::Account;
use crate::secrets::find::{find_live, touch};
use crate::servers::ServerError;
use crate::store::{Abort, RotationAccountRow, RotationRow, SecretRow, Tx};

/// What SecretData of a managed secret must be.
const ACCOUNTS: &str = "It must be {\"Accounts\":[{\"AccountName\":\"a\",\"AccountPassword\":\"p\"}]}: one account, or two different ones for DoubleUsers; passwords are 1 to 128 printable ASCII characters.";

/// Entries of CustomData.
pub const MOST_ENTRIES: usize = 10;

/// Characters of ExtendedConfig.
pub const LONGEST_CONFIG: usize = 1024;

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

/// How a managed secret is rotated, as answers tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// Whether by itself.
    pub automatic: AutomaticRotation,
    /// From one rotation to the next, s.
    pub interval_s: Option<i64>,
    /// The last one.
    pub last: Option<Timestamp>,
    /// The next one.
    pub next: Option<Timestamp>,
    /// ExtendedConfig as JSON.
    pub extended_config: String,
}

impl Rotation {
    pub(super) fn of(row: &RotationRow) -> Result<Self, Error> {
        let automatic = match (row.failures, row.interval_ms) {
            (1.., _) => AutomaticRotation::Invalid,
            (_, Some(_)) => AutomaticRotation::Enabled,
            (_, None) => AutomaticRotation::Disabled,
        };
        Ok(Self {
            automatic,
            interval_s: row.interval_ms.map(|ms| ms / 1000),
            last: row.last_at,
            next: row.next_at,
            extended_config: extended_config(row)?,
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ExtendedConfig<'a> {
    secret_sub_type: SecretSubType,
    #[serde(rename = "DBInstanceId")]
    instance: &'a InstanceId,
    custom_data: &'a RawValue,
}

fn extended_config(row: &RotationRow) -> Result<String, Error> {
    let fault = |e| Error::Internal(format!("ExtendedConfig of a secret has no JSON form: {e}"));
    let custom_data: &RawValue = serde_json::from_str(&row.custom_data).map_err(fault)?;
    let config = ExtendedConfig { secret_sub_type: row.sub_type, instance: &row.instance, custom_data };
    serde_json::to_string(&config).map_err(fault)
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

    /// Turns the rotation of a managed secret by itself on or off. The first one comes an interval after the last, or after the
    /// secret was made.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`], [`Error::SecretInDeleteWindow`]; [`Error::UnsupportedOperation`] for a Generic secret.
    pub fn rotation_policy_set(&self, caller: &Caller, secret: &SecretRef, interval_ms: Option<i64>) -> Result<(), Error> {
        self.store.commit(&caller.effect, "rotation_policy_set", |tx| {
            let now = self.clock.now();
            let secret = find_live(tx, caller, secret, now)?;
            let old = rotation_of(tx, &secret)?;
            let next_at = interval_ms.map(|ms| old.last_at.unwrap_or(secret.created_at).plus_ms(ms));
            // What is begun is ended, on or off; what failed to begin waits for its next attempt only while it is on.
            let waits = old.pending_id.is_some() || (old.failures > 0 && interval_ms.is_some());
            let (attempt_at, failures) = if waits { (old.attempt_at, old.failures) } else { (next_at, 0) };
            let new = RotationRow { interval_ms, next_at, attempt_at, failures, ..old.clone() };
            tx.rotation_update(&old, &new)?;
            touch(tx, &secret, now)
        })
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

/// How a managed secret is rotated.
///
/// # Errors
/// [`Error::UnsupportedOperation`] for a secret that is not managed.
pub(super) fn rotation_of(tx: &mut Tx<'_>, secret: &SecretRow) -> Result<RotationRow, Abort<Error>> {
    tx.rotation_of(&secret.id)?.ok_or(Abort::App(Error::UnsupportedOperation))
}

/// Puts the caller's own entries of ExtendedConfig in the place of those that are there.
///
/// # Errors
/// [`Error::Invalid`] for a Generic secret, more than ten entries, or an ExtendedConfig that grows too long.
pub(super) fn custom_data_set(
    tx: &mut Tx<'_>,
    secret: &SecretRow,
    entries: &BTreeMap<String, String>,
) -> Result<(), Abort<Error>> {
    let refused = || {
        Abort::App(Error::invalid_since(
            Field::CustomData,
            Why::naming("It must be an object of at most ten texts; {} has 1,024 characters.", &[Field::ExtendedConfig]),
        ))
    };
    let old = tx.rotation_of(&secret.id)?.ok_or_else(refused)?;
    let custom_data = serde_json::to_string(entries).map_err(|_| refused())?;
    let new = RotationRow { custom_data, ..old.clone() };
    let length = extended_config(&new).map_err(Abort::App)?.chars().count();
    if entries.len() > MOST_ENTRIES || length > LONGEST_CONFIG {
        return Err(refused());
    }
    Ok(tx.rotation_update(&old, &new)?)
}

/// A server that did not do what it should, for the caller; the reason is for the log.
pub(super) fn server_failure(instance: &InstanceId, error: &ServerError) -> Error {
    log::warn!("managed server {instance} {error}");
    Error::Unavailable("managed server")
}
