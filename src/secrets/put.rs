//! PutSecretValue: another version of a secret.
//!
//! Owns: the order of the steps, and what a repeated call means. Must not know: HTTP, PKCS#11, SQL.
//! Called by: api::secrets::put_secret_value. Source of the rules: the page of PutSecretValue.

use crate::auth::Caller;
use crate::base::ids::{SecretRef, Stage};
use crate::error::Error;
use crate::keys::{self, AdmittedKey, Use};
use crate::secrets::find::{find_live, only_generic, touch};
use crate::secrets::stages::{self, Labels};
use crate::secrets::{NewVersion, Secrets};
use crate::store::{Abort, KeyRow, SecretRow, StageRow, Tx, VersionHead, VersionRow};

/// How often a call begins again because another one made a version of the same name while it ran. The second time it finds that
/// version, unless ten others have pushed it out meanwhile.
const MAX_TURNS: u32 = 4;

/// A secret, before a version is added to it.
struct Before {
    secret: SecretRow,
    key: KeyRow,
    /// All that it has, oldest first.
    versions: Vec<VersionHead>,
    labels: Vec<StageRow>,
    /// The version that has the new one's name.
    same: Option<VersionRow>,
}

impl Secrets {
    /// Adds a version with these labels to a secret that the caller manages. Gives the version's labels.
    ///
    /// The name of the version makes the call repeatable: where a version of that name has this value, nothing changes, and the
    /// labels are those that it has now. To tell, the stored value is opened on the strength of the right to add one; all that
    /// the caller learns is whether the two are the same.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`], [`Error::SecretInDeleteWindow`]; [`Error::UnsupportedOperation`] for a managed secret;
    /// [`Error::SecretExists`] for another value under the name of a version; [`Error::LimitExceeded`] for too many labels;
    /// [`Error::NoPermission`] and [`Error::KeyState`] of the key; [`Error::Integrity`], [`Error::Unavailable`].
    pub fn put(&self, caller: &Caller, secret: &SecretRef, new: &NewVersion, labels: &[Stage]) -> Result<Vec<Stage>, Error> {
        for _ in 0..MAX_TURNS {
            let before = self.store.read("secret_put_begin", |tx| self.before(tx, caller, secret, new))?;
            let admitted = keys::admit(caller, &before.key, Use::GenerateDataKey)?;
            if let Some(stored) = before.same {
                if stored.head().is_withheld() {
                    return Err(Error::SecretExists);
                }
                self.repeat(caller, &before.secret, &admitted, &stored, new)?;
                return Ok(Labels::of(&before.labels).on(&new.id));
            }
            // Younger than the others whatever this node's clock says, so that age is the order in which versions came.
            let youngest = before.versions.last().map_or(before.secret.created_at, |head| head.created_at);
            let created_at = caller.now().max(youngest.plus_ms(1));
            let version = self.seal(&before.secret, &admitted, new, created_at)?;
            match self.store.commit_guarded(&caller.effect, "secret_put", |tx| {
                // As a rule nothing has changed since it was read.
                if tx.secret_is_still(&before.secret)? {
                    return self.add(tx, caller, &before, &admitted, &version, labels);
                }
                let now = self.before(tx, caller, secret, new)?;
                if now.secret.id != before.secret.id {
                    // Deleted, and made again under the same name: the one that was meant is not there.
                    return Err(Abort::App(Error::SecretNotFound));
                }
                self.add(tx, caller, &now, &admitted, &version, labels)
            }) {
                // Another call has made a version of this name since: whether it is the same shows when it is opened.
                Err(Error::SecretExists) => {}
                done => return done,
            }
        }
        Err(Error::Unavailable("a version comes and goes"))
    }

    fn before(&self, tx: &mut Tx<'_>, caller: &Caller, name: &SecretRef, new: &NewVersion) -> Result<Before, Abort<Error>> {
        let secret = find_live(tx, caller, name, caller.now())?;
        only_generic(&secret)?;
        let key = tx.key_by_id(&secret.key_id)?.ok_or(Abort::App(Error::KeyNotFound))?;
        let versions = tx.versions_of(&secret.id)?;
        let labels = tx.stages_of(&secret.id)?;
        let same = versions.iter().find(|head| head.version_id == new.id).map(|head| tx.version(head)).transpose()?;
        Ok(Before { secret, key, versions, labels, same })
    }

    /// The end of a call that names a version that is there: refused, or nothing to do.
    fn repeat(
        &self,
        caller: &Caller,
        secret: &SecretRow,
        key: &AdmittedKey,
        stored: &VersionRow,
        new: &NewVersion,
    ) -> Result<(), Error> {
        let value = self.open(secret, key, stored)?;
        if !value.same(&new.value) || stored.data_type != new.data_type {
            return Err(Error::SecretExists);
        }
        // Nothing to write, but the request is used up like any other: it must not make a version of its own when it comes again
        // after this one has gone.
        self.store.commit_guarded(&caller.effect, "secret_put_again", |_| Ok(()))
    }

    fn add(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        before: &Before,
        admitted: &AdmittedKey,
        version: &VersionRow,
        labels: &[Stage],
    ) -> Result<Vec<Stage>, Abort<Error>> {
        if before.same.is_some() {
            return Err(Abort::App(Error::SecretExists));
        }
        // The key may have been disabled since it was admitted.
        admitted.still_usable(tx, caller.now())?;
        let stages = stages::store_version(tx, version, before.versions.clone(), &before.labels, labels)?;
        touch(tx, &before.secret, caller.now())?;
        Ok(stages)
    }
}
