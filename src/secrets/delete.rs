//! DeleteSecret and RestoreSecret, and the end of the deletion window.
//!
//! Owns: the window. Must not know: HTTP, SQL. Called by: api, jobs.
//! Source of the rules: the pages of DeleteSecret and RestoreSecret.

use crate::auth::Caller;
use crate::base::clock::{Moment, Timestamp};
use crate::base::ids::SecretRef;
use crate::error::Error;
use crate::secrets::Secrets;
use crate::secrets::find::{Life, find, life};
use crate::service_task::{TaskRecord, each};
use crate::store::{Abort, SecretRow, Tx, expect_changed};

/// How a secret is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// At once; it cannot be restored.
    Now,
    /// After so many days, in which it can be restored.
    AfterDays(u32),
}

impl Secrets {
    /// Deletes a secret, or begins its deletion window. Gives the time at which it is gone.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`]; [`Error::SecretInDeleteWindow`] unless deleted [`Deletion::Now`].
    pub fn delete(&self, caller: &Caller, secret: &SecretRef, deletion: Deletion) -> Result<Timestamp, Error> {
        let now = caller.now();
        self.store.commit(&caller.effect, "secret_delete", |tx| {
            let found = find(tx, caller, secret, now)?;
            match (deletion, life(&found, now)) {
                (Deletion::Now, _) => {
                    expect_changed(tx.secret_delete(&found)?, "secrets")?;
                    Ok(now)
                }
                (Deletion::AfterDays(days), Life::Live) => {
                    let at = caller.proved_now().map_err(Abort::App)?.plus_days(days);
                    let deleted = SecretRow { delete_at: Some(at), ..found.clone() };
                    tx.secret_update(&found, &deleted)?;
                    Ok(at)
                }
                (Deletion::AfterDays(_), _) => Err(Abort::App(Error::SecretInDeleteWindow)),
            }
        })
    }

    /// Takes a secret out of its deletion window, as it was.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`]; [`Error::SecretInUse`] for a secret that is not deleted.
    pub fn restore(&self, caller: &Caller, secret: &SecretRef) -> Result<(), Error> {
        let now = caller.now();
        self.store.commit(&caller.effect, "secret_restore", |tx| {
            let found = find(tx, caller, secret, now)?;
            match life(&found, now) {
                Life::Window(_) => {
                    let restored = SecretRow { delete_at: None, ..found.clone() };
                    Ok(tx.secret_update(&found, &restored)?)
                }
                Life::Live | Life::Gone => Err(Abort::App(Error::SecretInUse)),
            }
        })
    }

    /// Removes up to `limit` secrets whose window is over.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; what is left is due at the next sweep.
    pub fn deletions_sweep(&self, at: Moment, limit: i64) -> Result<(), Error> {
        let now = at.now();
        let due = self.store.read_rows("secrets_due", |tx| tx.secrets_due(now, limit))?;
        each(due, |secret| {
            let resource = secret.name.resource();
            let task = TaskRecord {
                account: &secret.account_id,
                action: "DeleteSecret",
                resource: &resource,
                version: None,
                reason: "the deletion window is over",
                at,
            };
            // Restored, or removed by another node, since it was read: then nothing is deleted.
            self.service_tasks.run(task, |effect| self.store.commit(effect, "secret_purge", |tx| purge(tx, &secret)))
        })
    }
}

fn purge(tx: &mut Tx<'_>, secret: &SecretRow) -> Result<(), Abort<Error>> {
    if tx.secret_by_name(&secret.account_id, &secret.name)?.is_some_and(|s| s == *secret) {
        expect_changed(tx.secret_delete(secret)?, "secrets")?;
    }
    Ok(())
}
