//! Versions by number, as callers without version ids know them.
//!
//! Owns: what a number means, and reading by it; compare-and-set; what deletion of single versions does. Must not know: HTTP, PKCS#11, SQL.
//! Called by: api::versions.
//!
//! | file | answers |
//! |---|---|
//! | `put.rs` | adding a version where another is the newest |
//! | `retag.rs` | tags of a secret, which it may have before it has a version |
//! | `withhold.rs` | which versions are served no more, or again |
//!
//! The current version is that which carries ACSCurrent, whichever door moved it there. A version that is deleted stays until it is
//! undeleted, destroyed, or removed as one of too many; one that is destroyed has lost its wrapped data key and its value for ever, and
//! stays as a number.

mod put;
mod retag;
mod withhold;

pub use put::{Added, Put};
pub use withhold::{Which, Withheld};

use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::ids::{SecretId, SecretRef, Stage, VersionId};
use crate::base::secret::Plaintext;
use crate::error::Error;
use crate::keys::{self, Use};
use crate::secrets::Secrets;
use crate::secrets::find::{Life, find, life};
use crate::store::{Abort, SecretRow, TagRow, Tagged, Tx, ValueRow, VersionHead};
use crate::tags::Pairs;

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
    /// When the secret as a whole will be gone, in its deletion window.
    pub gone_at: Option<Timestamp>,
    /// The secret's tags.
    pub tags: Pairs,
}

impl NumberedValue {
    /// Why there is no value, in the words of who reads by version id.
    pub fn withheld(&self) -> Error {
        match (self.gone_at, self.version.destroyed) {
            (Some(_), _) => Error::SecretInDeleteWindow,
            (None, true) => Error::SecretVersionNotFound,
            (None, false) => Error::SecretVersionDeleted,
        }
    }
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
        let now = caller.now();
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
        let (head, gone_at) = (version.head(), gone_at(&secret, now));
        let admitted = keys::admit(caller, &key, Use::Decrypt)?;
        let value = if head.is_withheld() || gone_at.is_some() { None } else { Some(self.open(&secret, &admitted, &version)?) };
        Ok(NumberedValue { version: head.into(), value, gone_at, tags })
    }

    /// The versions of a secret, and what else is known of it.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`].
    pub fn versions_numbered(&self, caller: &Caller, secret: &SecretRef) -> Result<NumberedVersions, Error> {
        let now = caller.now();
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
}
