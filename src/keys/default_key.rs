//! The default key of an account: what encrypts secrets for which no key was named.
//!
//! Owns: making it exactly once per account, whatever number of nodes race. Must not know: HTTP. Called by: secrets.
//!
//! The row that names the default key is inserted together with the key's own row, in state `Creating`, before anything is made
//! on the token. Whoever loses that race waits for the winner; whoever waits too long declares the winner dead and starts anew.

use std::time::{Duration, Instant};

use crate::auth::Caller;
use crate::base::clock::{Moment, Timestamp};
use crate::base::ids::AccountId;
use crate::base::words::{KeySpec, KeyState, KeyUsage, Origin, ProtectionLevel};
use crate::error::Error;
use crate::keys::{Keys, NewKey, create, schedule, versions};
use crate::service_task::TaskRecord;
use crate::store::{Abort, KeyRow, StoreError};

/// How long a loser waits for the winner's key; a token makes a key in far less.
const WAIT: Duration = Duration::from_secs(10);

/// After this long in `Creating` the maker of a default key is taken for dead, ms: less than [`WAIT`], so that the first who
/// waits after a crash gets a key. A maker that was only slow finds its key given up, and makes nothing.
const DEAD_AFTER_MS: i64 = 5_000;

/// Between two looks at the winner's key.
const POLL: Duration = Duration::from_millis(20);

/// Why a default key was not begun.
enum NotBegun {
    /// Another node was first.
    Raced,
    Refused(Error),
}

impl From<StoreError> for NotBegun {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => NotBegun::Raced,
            other => NotBegun::Refused(other.into()),
        }
    }
}

impl Keys {
    /// The account's default key; makes it on first use, unless `needed` finds that nothing would come of it: a request that is refused
    /// leaves no key behind.
    ///
    /// # Errors
    /// Those of `needed`;
    /// [`Error::Unavailable`] when token or database are away, or another node does not finish making it; [`Error::TokenFull`].
    pub fn default_key(&self, caller: &Caller, needed: impl Fn() -> Result<(), Error>) -> Result<KeyRow, Error> {
        let (account, deadline) = (&caller.account, Instant::now() + WAIT);
        loop {
            match self.read_default(account)? {
                Some(key) if key.state != KeyState::Creating => return Ok(key),
                Some(key) if caller.now() > key.created_at.plus_ms(DEAD_AFTER_MS) => {
                    self.abandon_default(&key, caller.now())?
                }
                Some(_) => {}
                None => {
                    needed()?;
                    if let Some(key) = self.make_default(account, caller.moment())? {
                        return Ok(key);
                    }
                }
            }
            if Instant::now() >= deadline {
                return Err(Error::Unavailable("default key"));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Makes the default key; none if another node began first.
    fn make_default(&self, account: &AccountId, at: Moment) -> Result<Option<KeyRow>, Error> {
        let new = NewKey {
            spec: KeySpec::Aes256,
            usage: KeyUsage::EncryptDecrypt,
            origin: Origin::Service,
            protection: ProtectionLevel::Software,
            description: "Default key of Secrets Manager".into(),
            rotation_s: Some(schedule::SERVICE_INTERVAL_S),
            tags: Vec::new(),
            policy: None,
            kms_instance: None,
        };
        let (key, version) = create::new_rows(account, &new, true, at.now());
        let begun = self.store.write("default_key_begin", |tx| {
            self.check_room(tx, key.spec.objects()).map_err(|refused| match refused {
                Abort::Db(error) => Abort::Db(error),
                Abort::App(error) => Abort::App(NotBegun::Refused(error)),
            })?;
            create::begin(tx, &key, &version)?;
            Ok(tx.default_key_insert(account, &key.id)?)
        });
        match begun {
            Ok(()) => {
                let resource = key.id.resource();
                let task = TaskRecord {
                    account,
                    action: "CreateKey",
                    resource: &resource,
                    version: None,
                    reason: "the account's default key",
                    at,
                };
                let made = self.service_tasks.run(task, |effect| self.finish(&key, &version, &new, effect));
                if made.is_err()
                    && let Err(left) = self.abandon_default(&key, at.now())
                {
                    log::warn!("default key {} keeps others waiting until the next sweep: {left:?}", key.id);
                }
                made.map(|described| Some(described.key))
            }
            Err(NotBegun::Raced) => Ok(None),
            Err(NotBegun::Refused(error)) => Err(error),
        }
    }

    /// Takes a key that will not be finished out of others' way. Its own row stays while the token cannot be asked to destroy what
    /// it may have made of it: a sweep gives it up then (`keys::condemned`). A key that was finished after all stays the default.
    fn abandon_default(&self, key: &KeyRow, now: Timestamp) -> Result<(), Error> {
        self.store.write("default_key_abandon", |tx| {
            let unfinished = tx.key_by_id(&key.id)?.is_some_and(|k| k.state == KeyState::Creating);
            // A maker that was only slow cannot finish it any more.
            if unfinished && versions::take_over(tx, &key.primary_version, now)? {
                tx.default_key_delete(&key.account_id, &key.id)?;
            }
            Ok(())
        })
    }

    fn read_default(&self, account: &AccountId) -> Result<Option<KeyRow>, Error> {
        Ok(self.store.read_row("default_key", |tx| tx.default_key(account))?)
    }
}
