//! Tags of a secret as one set, which a secret may have before it has a version.
//!
//! Owns: how the set is replaced. Must not know: what tags are for. Called by: api::versions.

use std::cell::Cell;

use super::{MAX_TURNS, pairs};
use crate::auth::Caller;
use crate::base::ids::{SecretRef, VersionId};
use crate::base::secret::Plaintext;
use crate::base::words::DataType;
use crate::error::Error;
use crate::secrets::find::{find, touch};
use crate::secrets::{NewSecret, NewVersion, Secrets};
use crate::store::{Abort, TagRow, Tagged};
use crate::tags::{self, Change, Pairs};

impl Secrets {
    /// Sets the tags of a secret anew: `change` says from those that it has which it gets. Where it may create, a secret that is not there
    /// is made, with a first version, number 0, that never had a value. Nothing is done, and false is told, where a tag would go and
    /// it may not take tags away.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`]; [`Error::LimitExceeded`] for too many; what [`Secrets::create`] refuses.
    pub fn retag(
        &self,
        caller: &Caller,
        secret: &SecretRef,
        change: impl Fn(Pairs) -> Pairs,
        may_create: bool,
        may_untag: bool,
    ) -> Result<bool, Error> {
        if !caller.at_home(secret.home.as_ref()) {
            return Err(Error::SecretNotFound);
        }
        let now = caller.now();
        let untags = Cell::new(false);
        for _ in 0..MAX_TURNS {
            let done = self.store.commit(&caller.effect, "secret_retag", |tx| {
                let found = find(tx, caller, secret, now)?;
                let on = Tagged::Secret(found.id);
                let had = tx.tags_of(on)?;
                let tags = change(pairs(&had));
                let stays = |tag: &TagRow| tags.iter().any(|(key, _)| *key == tag.tag_key);
                let gone: Vec<String> = had.iter().filter(|tag| !stays(tag)).map(|tag| tag.tag_key.clone()).collect();
                if !gone.is_empty() && !may_untag {
                    untags.set(true);
                    return Err(Abort::App(caller.denied("kms:UntagResource")));
                }
                tags::apply(tx, &found.account_id, on, &Change::Remove(gone))?;
                tags::apply(tx, &found.account_id, on, &Change::Set(tags))?;
                touch(tx, &found, now).map(|()| true)
            });
            if untags.get() {
                return Ok(false);
            }
            if !(may_create && matches!(done, Err(Error::SecretNotFound))) {
                return done;
            }
            let tags = change(Vec::new());
            if tags.len() as i64 > tags::MAX_TAGS {
                return Err(tags::full());
            }
            let empty = NewVersion { id: VersionId::random(), value: Plaintext::new(Vec::new()), data_type: DataType::Text };
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
                done => return done.map(|()| true),
            }
        }
        Err(Error::Unavailable("a secret comes and goes"))
    }
}
