//! Versions by number: reading one, adding one where another is the newest, and withholding some.
//!
//! Owns: what a number means, compare-and-set, and what deletion of single versions does. Must not know: HTTP, PKCS#11, SQL.
//! Called by: api::versions.
//!
//! The current version is that which carries ACSCurrent, whichever door moved it there. A version that is deleted stays until it is
//! undeleted, destroyed, or removed as one of too many; one that is destroyed has lost its wrapped data key and its value for ever, and
//! stays as a number.

use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::ids::{SecretId, SecretName, SecretRef, Stage, VersionId};
use crate::base::secret::Plaintext;
use crate::base::words::DataType;
use crate::error::Error;
use crate::keys::{self, AdmittedKey, Use};
use crate::secrets::find::{Life, find, life, only_generic, touch};
use crate::secrets::stages::{self, Place};
use crate::secrets::{NewSecret, NewVersion, Secrets};
use crate::store::{Abort, KeyRow, SecretRow, TagRow, Tagged, Tx, ValueRow, VersionHead, VersionRow, expect_changed};
use crate::tags::{self, Change, Pairs};

/// How often a call begins again because what it was about was made or removed while it ran.
const MAX_TURNS: u32 = 8;

/// What is told of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFacts {
    /// Its name.
    pub id: VersionId,
    /// Its number; 0 where the secret never had a value.
    pub number: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is not served.
    pub deleted_at: Option<Timestamp>,
    /// Whether its value is gone.
    pub destroyed: bool,
}

impl From<VersionHead> for VersionFacts {
    fn from(head: VersionHead) -> Self {
        let VersionHead { version_id: id, number, created_at, deleted_at, destroyed, .. } = head;
        Self { id, number, created_at, deleted_at, destroyed }
    }
}

/// A version and its value.
#[derive(Debug)]
pub struct NumberedValue {
    /// The version.
    pub version: VersionFacts,
    /// Its value; none while it is withheld.
    pub value: Option<Plaintext>,
    /// What the value is.
    pub data_type: DataType,
    /// When the secret as a whole will be gone, in its deletion window.
    pub gone_at: Option<Timestamp>,
    /// The secret's tags.
    pub tags: Pairs,
}

/// A secret and all that is known of its versions.
#[derive(Debug)]
pub struct NumberedVersions {
    /// When the secret was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// Its versions, oldest first.
    pub versions: Vec<VersionFacts>,
    /// The number of that which carries ACSCurrent.
    pub current: i64,
    /// When the secret as a whole will be gone, in its deletion window.
    pub gone_at: Option<Timestamp>,
    /// Its tags.
    pub tags: Pairs,
}

/// A version that was added.
#[derive(Debug)]
pub struct Added {
    /// The version.
    pub version: VersionFacts,
    /// The secret's tags.
    pub tags: Pairs,
}

/// What becomes of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// They are not served until they are undeleted.
    Deleted,
    /// They are served again, unless they are destroyed; a secret in its deletion window is restored.
    Undeleted,
    /// Their data keys and values go for ever.
    Destroyed,
}

/// Which versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The current one.
    Current,
    /// Those of these numbers; numbers that there are not mean nothing.
    Numbers(Vec<i64>),
}

/// What adds a version, beside its value.
#[derive(Debug, Clone, Copy, Default)]
pub struct Put {
    /// The number that must be the current one; 0 where there must be no secret.
    pub expected: Option<i64>,
    /// Whether the caller may make the secret where there is none.
    pub may_create: bool,
    /// Whether it may add to one that there is.
    pub may_add: bool,
}

/// A secret, before a version is added to it.
struct Before {
    secret: SecretRow,
    key: KeyRow,
    youngest: Timestamp,
}

fn gone_at(secret: &SecretRow, now: Timestamp) -> Option<Timestamp> {
    match life(secret, now) {
        Life::Window(at) => Some(at),
        Life::Live | Life::Gone => None,
    }
}

fn live_tags(tx: &mut Tx<'_>, secret: &SecretRow) -> Result<Pairs, Abort<Error>> {
    // Most secrets have none, which their row says.
    let tags = if tx.has_tags(secret)? { tx.tags_of(Tagged::Secret(secret.id))? } else { Vec::new() };
    Ok(pairs(&tags))
}

fn pairs(tags: &[TagRow]) -> Pairs {
    tags.iter().map(|tag| (tag.tag_key.clone(), tag.tag_value.clone())).collect()
}

/// The secret that a caller names; none where there is none. What is done then leaves its mark as if there were: it was done.
fn found(tx: &mut Tx<'_>, caller: &Caller, secret: &SecretRef, now: Timestamp) -> Result<Option<SecretRow>, Abort<Error>> {
    match find(tx, caller, secret, now) {
        Ok(found) => Ok(Some(found)),
        Err(Abort::App(Error::SecretNotFound)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn current_of(tx: &mut Tx<'_>, secret: &SecretId) -> Result<i64, Abort<Error>> {
    let label = tx.stage_by_name(secret, &Stage::current())?;
    let lost = || Abort::App(Error::Integrity(format!("secret {secret} has no current version")));
    Ok(label.ok_or_else(lost)?.number)
}

impl Secrets {
    /// The value of a version, by its number, or of the current one; withheld ones without their value.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`], [`Error::SecretVersionNotFound`]; [`Error::NoPermission`] and [`Error::KeyState`] of the key;
    /// [`Error::Integrity`] when any stored byte does not verify.
    pub fn value_numbered(&self, caller: &Caller, secret: &SecretRef, number: Option<i64>) -> Result<NumberedValue, Error> {
        if !caller.at_home(secret.home.as_ref()) {
            return Err(Error::SecretNotFound);
        }
        let name = &secret.name;
        let now = self.clock.now();
        let select = |tx: &mut Tx<'_>| {
            let row = match number {
                None => tx.value_by_stage(&caller.account, name, &Stage::current())?,
                Some(number) => {
                    let secret = find(tx, caller, secret, now)?;
                    let heads = tx.versions_of(&secret.id)?;
                    let head = heads.into_iter().find(|head| head.number == number);
                    let head = head.ok_or(Abort::App(Error::SecretVersionNotFound))?;
                    tx.value_by_version(&caller.account, name, &head.version_id)?
                }
            };
            let row = row.filter(|row| life(&row.secret, now) != Life::Gone).ok_or(Abort::App(Error::SecretNotFound))?;
            let tags = live_tags(tx, &row.secret)?;
            Ok::<_, Abort<Error>>((row, tags))
        };
        // One query where nothing is asked but the current value.
        let (ValueRow { secret, key, version, .. }, tags) = match number {
            None => self.store.read_one("secret_value", select)?,
            Some(_) => self.store.read("secret_value_numbered", select)?,
        };
        let lost = || Error::Integrity(format!("a stage of secret {name} names a version that is not there"));
        let version = version.ok_or_else(lost)?;
        let (head, data_type, gone_at) = (version.head(), version.data_type, gone_at(&secret, now));
        let admitted = keys::admit(caller, &key, Use::Decrypt)?;
        let value = if head.is_withheld() || gone_at.is_some() { None } else { Some(self.open(&secret, &admitted, &version)?) };
        Ok(NumberedValue { version: head.into(), value, data_type, gone_at, tags })
    }

    /// The versions of a secret, and what else is known of it.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`].
    pub fn versions_numbered(&self, caller: &Caller, secret: &SecretRef) -> Result<NumberedVersions, Error> {
        let now = self.clock.now();
        self.store.read("secret_versions_numbered", |tx| {
            let secret = find(tx, caller, secret, now)?;
            let versions = tx.versions_of(&secret.id)?;
            let current = current_of(tx, &secret.id)?;
            let tags = live_tags(tx, &secret)?;
            Ok(NumberedVersions {
                created_at: secret.created_at,
                updated_at: secret.updated_at,
                versions: versions.into_iter().map(VersionFacts::from).collect(),
                current,
                gone_at: gone_at(&secret, now),
                tags,
            })
        })
    }

    /// Adds a version, which becomes the current one: to a secret that there is, out of its deletion window if it is in that, or as the
    /// first of a new one.
    ///
    /// # Errors
    /// [`Error::CheckAndSet`]; [`Error::NoPermission`] where the caller may not do what is needed; what [`Secrets::create`] and
    /// [`Secrets::put`] refuse.
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
                match self.create_numbered(caller, &secret.name, new(), put) {
                    Err(Error::SecretExists | Error::SecretInDeleteWindow) => continue,
                    done => return done.map(|version| Added { version: version.into(), tags: Vec::new() }),
                }
            };
            if !put.may_add {
                return Err(caller.denied("kms:PutSecretValue"));
            }
            let admitted = keys::admit(caller, &before.key, Use::GenerateDataKey)?;
            // Younger than the others whatever this node's clock says, so that age is the order in which versions came.
            let created_at = self.clock.now().max(before.youngest.plus_ms(1));
            let version = self.seal(&before.secret, &admitted, &new(), created_at)?;
            let added = self.store.commit_guarded(&caller.effect, "secret_put", |tx| {
                self.add_numbered(tx, caller, secret, &before.secret, &admitted, &version, put.expected)
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
    /// [`Error::SecretNotFound`]; [`Error::SecretInDeleteWindow`] where the current version is withheld; what `change` refuses; as
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
            let value = present.value.ok_or(Error::SecretInDeleteWindow)?;
            let next = change(&value)?;
            let again = || Plaintext::new(next.expose().to_vec());
            let put = Put { expected: Some(number), may_create: false, may_add: true };
            match self.put_numbered(caller, secret, again, put) {
                // Another was faster: the change is made to what it left.
                Err(Error::CheckAndSet) if expected.is_none() => {}
                done => return done,
            }
        }
        Err(Error::Unavailable("versions come too fast"))
    }

    fn create_numbered(&self, caller: &Caller, name: &SecretName, version: NewVersion, put: Put) -> Result<VersionHead, Error> {
        if !put.may_create {
            return Err(caller.denied("kms:CreateSecret"));
        }
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
        let now = self.clock.now();
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
        expected: Option<i64>,
    ) -> Result<Added, Abort<Error>> {
        let now = self.clock.now();
        let secret = find(tx, caller, name, now)?;
        if secret.id != sealed_for.id {
            // Deleted, and made again under the same name.
            return Err(Abort::App(Error::SecretNotFound));
        }
        if let Some(expected) = expected
            && current_of(tx, &secret.id)? != expected
        {
            return Err(Abort::App(Error::CheckAndSet));
        }
        // The key may have been disabled since it was admitted.
        let key = tx.key_by_id(&secret.key_id)?.ok_or(Abort::App(Error::KeyNotFound))?;
        admitted.still_usable(&key, now).map_err(Abort::App)?;
        let others = tx.versions_of(&secret.id)?;
        let version = stages::numbered(version, &others);
        stages::store_version(tx, &version, others, &[Stage::current()])?;
        let changed = SecretRow { updated_at: now, delete_at: None, ..secret.clone() };
        tx.secret_update(&secret, &changed)?;
        let tags = live_tags(tx, &secret)?;
        Ok(Added { version: version.head().into(), tags })
    }

    /// Withholds versions of a secret that callers manage, or serves them again. Of a secret that is not there nothing is to be done.
    ///
    /// # Errors
    /// [`Error::UnsupportedOperation`] for a managed secret.
    pub fn withhold(&self, caller: &Caller, secret: &SecretRef, which: &Which, to: Withheld) -> Result<(), Error> {
        let now = self.clock.now();
        self.store.commit(&caller.effect, "secret_withhold", |tx| {
            let Some(found) = found(tx, caller, secret, now)? else { return Ok(()) };
            only_generic(&found)?;
            let heads = tx.versions_of(&found.id)?;
            let numbers = match which {
                Which::Current => vec![current_of(tx, &found.id)?],
                Which::Numbers(numbers) => numbers.clone(),
            };
            let mut changed = false;
            for head in heads.iter().filter(|head| numbers.contains(&head.number)) {
                let (deleted_at, destroyed) = match to {
                    Withheld::Deleted if head.is_withheld() => continue,
                    Withheld::Undeleted if head.destroyed || head.deleted_at.is_none() => continue,
                    Withheld::Destroyed if head.destroyed => continue,
                    Withheld::Deleted => (Some(now), false),
                    Withheld::Undeleted => (None, false),
                    Withheld::Destroyed => (head.deleted_at, true),
                };
                let new = tx.version_withhold(head, deleted_at, destroyed)?;
                stages::follow(tx, &found.id, &Place::from(&new))?;
                changed = true;
            }
            if to == Withheld::Undeleted && found.delete_at.is_some() {
                let restored = SecretRow { updated_at: now, delete_at: None, ..found.clone() };
                return Ok(tx.secret_update(&found, &restored)?);
            }
            if changed { touch(tx, &found, now) } else { Ok(()) }
        })
    }

    /// Takes the data key and the value of a version out of the database for ever; one that is destroyed already stays so.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`], [`Error::SecretVersionNotFound`]; [`Error::UnsupportedOperation`] for a managed secret.
    pub fn destroy_version(&self, caller: &Caller, secret: &SecretRef, version: &VersionId) -> Result<(), Error> {
        let now = self.clock.now();
        self.store.commit(&caller.effect, "secret_version_destroy", |tx| {
            let found = find(tx, caller, secret, now)?;
            only_generic(&found)?;
            let head = tx.versions_of(&found.id)?.into_iter().find(|head| head.version_id == *version);
            let head = head.ok_or(Abort::App(Error::SecretVersionNotFound))?;
            if head.destroyed {
                return Ok(());
            }
            let new = tx.version_withhold(&head, head.deleted_at, true)?;
            stages::follow(tx, &found.id, &Place::from(&new))?;
            touch(tx, &found, now)
        })
    }

    /// Deletes a secret at once, if it is there.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn remove(&self, caller: &Caller, secret: &SecretRef) -> Result<(), Error> {
        let now = self.clock.now();
        self.store.commit(&caller.effect, "secret_remove", |tx| {
            if let Some(found) = found(tx, caller, secret, now)? {
                expect_changed(tx.secret_delete(&found)?, "secrets")?;
            }
            Ok(())
        })
    }

    /// Sets the tags of a secret anew: `change` says from those that it has which it gets. Where `may_create` is given, a secret that is not
    /// there is made, with a first version, number 0, that never had a value, if the caller may.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`];     /// [`Error::LimitExceeded`] for too many; [`Error::NoPermission`] where there is none and the caller may not make it.
    pub fn retag(
        &self,
        caller: &Caller,
        secret: &SecretRef,
        change: impl Fn(Pairs) -> Pairs,
        may_create: Option<bool>,
    ) -> Result<(), Error> {
        if !caller.at_home(secret.home.as_ref()) {
            return Err(Error::SecretNotFound);
        }
        let now = self.clock.now();
        for _ in 0..MAX_TURNS {
            let done = self.store.commit(&caller.effect, "secret_retag", |tx| {
                let found = find(tx, caller, secret, now)?;
                let on = Tagged::Secret(found.id);
                let had = tx.tags_of(on)?;
                let tags = change(pairs(&had));
                let stays = |tag: &TagRow| tags.iter().any(|(key, _)| *key == tag.tag_key);
                let gone: Vec<String> = had.iter().filter(|tag| !stays(tag)).map(|tag| tag.tag_key.clone()).collect();
                tags::apply(tx, &found.account_id, on, &Change::Remove(gone))?;
                tags::apply(tx, &found.account_id, on, &Change::Set(tags))?;
                touch(tx, &found, now)
            });
            let (Err(Error::SecretNotFound), Some(may_create)) = (&done, may_create) else { return done };
            let tags = change(Vec::new());
            if tags.len() as i64 > tags::MAX_TAGS {
                return Err(Error::LimitExceeded);
            }
            let empty = NewVersion { id: VersionId::random(), value: Plaintext::new(Vec::new()), data_type: DataType::Text };
            if !may_create {
                return Err(caller.denied("kms:CreateSecret"));
            }
            let new = NewSecret {
                name: secret.name.clone(),
                version: empty,
                description: String::new(),
                tags,
                policy: None,
                managed: None,
                kms_instance: None,
            };
            match self.create_without_value(caller, new) {
                Err(Error::SecretExists | Error::SecretInDeleteWindow) => {}
                done => return done,
            }
        }
        Err(Error::Unavailable("a secret comes and goes"))
    }
}
