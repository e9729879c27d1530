//! Adding a version where another is the newest.
//!
//! Owns: compare-and-set. Must not know: who carries the number. Called by: api::versions.

use super::{MAX_TURNS, VersionFacts, current_of, live_tags};
use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::ids::{SecretName, SecretRef, Stage, VersionId};
use crate::base::secret::Plaintext;
use crate::base::words::DataType;
use crate::error::Error;
use crate::keys::{self, AdmittedKey, Use};
use crate::secrets::find::{Life, find, life, only_generic};
use crate::secrets::stages;
use crate::secrets::{NewSecret, NewVersion, Secrets};
use crate::store::{Abort, KeyRow, SecretRow, Tx, VersionHead, VersionRow};
use crate::tags::Pairs;

/// A version that was added.
#[derive(Debug)]
pub struct Added {
    /// The version.
    pub version: VersionFacts,
    /// The secret's tags.
    pub tags: Pairs,
}

/// What adds a version, beside its value.
#[derive(Debug, Clone, Copy, Default)]
pub struct Put {
    /// The number that must be the current one; 0 where there must be no secret.
    pub expected: Option<i64>,
    /// Whether it may make the secret where there is none.
    pub may_create: bool,
    /// Whether the caller may add to one that there is.
    pub may_add: bool,
    /// Whether it may take one out of its deletion window.
    pub may_restore: bool,
}

/// A secret, before a version is added to it.
struct Before {
    secret: SecretRow,
    key: KeyRow,
    youngest: Timestamp,
}

impl Secrets {
    /// Adds a version, which becomes the current one: to a secret that there is, out of its deletion window if it is in that, or as the
    /// first of a new one.
    ///
    /// # Errors
    /// [`Error::CheckAndSet`]; [`Error::NoPermission`] where the caller may not add; [`Error::SecretNotFound`] and
    /// [`Error::SecretInDeleteWindow`] where it is not said that it may create or restore; what [`Secrets::create`] and [`Secrets::put`]
    /// refuse.
    pub fn put_numbered(
        &self,
        caller: &Caller,
        secret: &SecretRef,
        value: impl Fn() -> Plaintext,
        put: Put,
    ) -> Result<Added, Error> {
        if !caller.at_home(secret.home.as_ref()) {
            return Err(Error::SecretNotFound);
        }
        let new = || NewVersion { id: VersionId::random(), value: value(), data_type: DataType::Text };
        for _ in 0..MAX_TURNS {
            let before = self.store.read("secret_put_begin", |tx| self.before_numbered(tx, caller, secret))?;
            let Some(before) = before else {
                if put.expected.is_some_and(|number| number != 0) {
                    return Err(Error::CheckAndSet);
                }
                if !put.may_create {
                    return Err(Error::SecretNotFound);
                }
                match self.create_numbered(caller, &secret.name, new()) {
                    Err(Error::SecretExists | Error::SecretInDeleteWindow) => continue,
                    done => return done.map(|version| Added { version: version.into(), tags: Vec::new() }),
                }
            };
            if !put.may_add {
                return Err(caller.denied("kms:PutSecretValue"));
            }
            // Before its number is compared, which is not told to who may not restore it.
            if !put.may_restore && life(&before.secret, caller.now()) != Life::Live {
                return Err(Error::SecretInDeleteWindow);
            }
            let admitted = keys::admit(caller, &before.key, Use::GenerateDataKey)?;
            // Younger than the others whatever this node's clock says, so that age is the order in which versions came.
            let created_at = caller.now().max(before.youngest.plus_ms(1));
            let version = self.seal(&before.secret, &admitted, &new(), created_at)?;
            let added = self.store.commit_guarded(&caller.effect, "secret_put", |tx| {
                self.add_numbered(tx, caller, secret, &before.secret, &admitted, &version, put)
            });
            match added {
                // Removed since it was read: the next turn finds that there is none.
                Err(Error::SecretNotFound) => {}
                done => return done,
            }
        }
        Err(Error::Unavailable("a secret comes and goes"))
    }

    /// Adds a version whose value is made of the current one's.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`]; what [`super::NumberedValue::withheld`] says of the current version; what `change` refuses; as
    /// [`Secrets::put_numbered`].
    pub fn patch_numbered(
        &self,
        caller: &Caller,
        secret: &SecretRef,
        change: impl Fn(&Plaintext) -> Result<Plaintext, Error>,
        expected: Option<i64>,
    ) -> Result<Added, Error> {
        for _ in 0..MAX_TURNS {
            let present = self.value_numbered(caller, secret, None)?;
            let number = present.version.number;
            if expected.is_some_and(|expected| expected != number) {
                return Err(Error::CheckAndSet);
            }
            let value = present.value.as_ref().ok_or_else(|| present.withheld())?;
            let next = change(value)?;
            let again = || Plaintext::new(next.expose().to_vec());
            let put = Put { expected: Some(number), may_create: false, may_add: true, may_restore: false };
            match self.put_numbered(caller, secret, again, put) {
                // Another was faster: the change is made to what it left.
                Err(Error::CheckAndSet) if expected.is_none() => {}
                done => return done,
            }
        }
        Err(Error::Unavailable("versions come too fast"))
    }

    fn create_numbered(&self, caller: &Caller, name: &SecretName, version: NewVersion) -> Result<VersionHead, Error> {
        let new = NewSecret {
            name: name.clone(),
            version,
            description: String::new(),
            tags: Vec::new(),
            policy: None,
            managed: None,
            kms_instance: None,
        };
        self.create_first(caller, new, None).map(|(_, head)| head)
    }

    fn before_numbered(&self, tx: &mut Tx<'_>, caller: &Caller, name: &SecretRef) -> Result<Option<Before>, Abort<Error>> {
        let now = caller.now();
        let found = tx.secret_by_name(&caller.account, &name.name)?;
        let Some(secret) = found.filter(|secret| life(secret, now) != Life::Gone) else { return Ok(None) };
        only_generic(&secret)?;
        let key = tx.key_by_id(&secret.key_id)?.ok_or(Abort::App(Error::KeyNotFound))?;
        let youngest = tx.versions_of(&secret.id)?.last().map_or(secret.created_at, |head| head.created_at);
        Ok(Some(Before { secret, key, youngest }))
    }

    #[allow(clippy::too_many_arguments, reason = "what a put is about, each of its own type")]
    fn add_numbered(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        name: &SecretRef,
        sealed_for: &SecretRow,
        admitted: &AdmittedKey,
        version: &VersionRow,
        put: Put,
    ) -> Result<Added, Abort<Error>> {
        let now = caller.now();
        let secret = find(tx, caller, name, now)?;
        if secret.id != sealed_for.id {
            // Deleted, and made again under the same name.
            return Err(Abort::App(Error::SecretNotFound));
        }
        if !put.may_restore && life(&secret, now) != Life::Live {
            // Deleted since it was read.
            return Err(Abort::App(Error::SecretInDeleteWindow));
        }
        if let Some(expected) = put.expected
            && current_of(tx, &secret.id)? != expected
        {
            return Err(Abort::App(Error::CheckAndSet));
        }
        // The key may have been disabled since it was admitted.
        admitted.still_usable(tx, now)?;
        let others = tx.versions_of(&secret.id)?;
        let version = stages::numbered(version, &others);
        let labels = tx.stages_of(&secret.id)?;
        stages::store_version(tx, &version, others, &labels, &[Stage::current()])?;
        let changed = SecretRow { updated_at: now, delete_at: None, ..secret.clone() };
        tx.secret_update(&secret, &changed)?;
        let tags = live_tags(tx, &secret)?;
        Ok(Added { version: version.head().into(), tags })
    }
}
