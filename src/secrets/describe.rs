//! DescribeSecret and ListSecrets: what is known of secrets without opening them.
//!
//! Owns: metadata. Must not know: HTTP, SQL. Called by: api.

use std::collections::HashMap;

use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::ids::{SecretId, SecretRef};
use crate::base::words::SecretType;
use crate::error::Error;
use crate::secrets::find::{Life, find, life};
use crate::secrets::rotation_policy::rotation_of;
use crate::secrets::{Rotation, Secrets};
use crate::store::{Abort, SecretFilter, SecretRow, TagRow, Tagged};

/// A secret's metadata.
#[derive(Debug)]
pub struct SecretDescription {
    /// The secret.
    pub secret: SecretRow,
    /// When it will be gone, in the deletion window.
    pub planned_delete_time: Option<Timestamp>,
    /// Its tags, where they were asked for.
    pub tags: Option<Vec<TagRow>>,
    /// How it is rotated, if it is a managed one; lists do not tell.
    pub rotation: Option<Rotation>,
}

/// One page of an account's secrets.
#[derive(Debug)]
pub struct SecretPage {
    /// Secrets on the page.
    pub secrets: Vec<SecretDescription>,
    /// Secrets in all.
    pub total: i64,
}

impl Secrets {
    /// The metadata of one secret.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`].
    pub fn describe(&self, caller: &Caller, secret: &SecretRef, with_tags: bool) -> Result<SecretDescription, Error> {
        let now = caller.now();
        self.store.read("secret_describe", |tx| {
            let found = find(tx, caller, secret, now)?;
            let tags = if with_tags { Some(tx.tags_of(Tagged::Secret(found.id))?) } else { None };
            let rotation = match found.secret_type {
                SecretType::Generic => None,
                _ => Some(Rotation::of(&rotation_of(tx, &found)?).map_err(Abort::App)?),
            };
            Ok(SecretDescription { rotation, ..described(found, tags, now) })
        })
    }

    /// A page of the account's secrets that fit, by name, those in the deletion window included.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn list(
        &self,
        caller: &Caller,
        filter: &SecretFilter,
        offset: i64,
        limit: i64,
        with_tags: bool,
    ) -> Result<SecretPage, Error> {
        let now = caller.now();
        self.store.read("secrets_page", |tx| {
            let (page, total) = tx.secrets_page(&caller.account, now, filter, offset, limit)?;
            let ids: Vec<_> = page.iter().map(|secret| secret.id).collect();
            let mut tags: HashMap<SecretId, Vec<TagRow>> = HashMap::new();
            if with_tags {
                tags = ids.iter().map(|id| (*id, Vec::new())).collect();
                for (id, tag) in tx.tags_of_secrets(&ids)? {
                    tags.entry(id).or_default().push(tag);
                }
            }
            let secrets = page.into_iter().map(|secret| {
                let tags = tags.remove(&secret.id);
                described(secret, tags, now)
            });
            Ok(SecretPage { secrets: secrets.collect(), total })
        })
    }
}

fn described(secret: SecretRow, tags: Option<Vec<TagRow>>, now: Timestamp) -> SecretDescription {
    let planned_delete_time = match life(&secret, now) {
        Life::Window(at) => Some(at),
        Life::Live | Life::Gone => None,
    };
    SecretDescription { secret, planned_delete_time, tags, rotation: None }
}
