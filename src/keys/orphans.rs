//! What token and database say of each other: objects of ours without a row, rows without an object.
//!
//! Owns: the comparison. Must not know: what to do about it: it is for a person to say, nothing is deleted here.
//! Called by: jobs (once after the start), admin (`bulla check`).

use std::collections::HashSet;
use std::iter;

use crate::base::ids::KeyVersionId;
use crate::base::words::{KeyState, Origin};
use crate::error::Error;
use crate::keys::Keys;
use crate::store::Store;
use crate::token::Token;

/// Where token and database do not fit.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Objects that carry a label and an id like ours, and no row. Another deployment's on the same token look so too.
    pub without_row: Vec<KeyVersionId>,
    /// Key versions made here whose object is not there; what they encrypted cannot be read. Imported material comes and goes.
    pub without_object: Vec<KeyVersionId>,
    /// Key versions and wrapping pairs in the making, versions whose material comes or goes, and condemned objects; the sweep clears
    /// away those whose maker is dead, and what has been condemned long enough.
    pub half_made: Vec<KeyVersionId>,
}

impl Keys {
    /// [`mismatch`] of these keys, beside the system keys.
    ///
    /// # Errors
    /// As there.
    pub fn mismatch(&self, system: &[KeyVersionId]) -> Result<Mismatch, Error> {
        mismatch(&self.token, &self.store, system)
    }
}

/// Compares all objects but those of the system keys with all rows.
///
/// # Errors
/// [`Error::Unavailable`] when token or database are away.
pub fn mismatch(token: &Token, store: &Store, system: &[KeyVersionId]) -> Result<Mismatch, Error> {
    let objects = token.ids()?;
    let (rows, pairs, moving, heads) = store.read_rows("key_version_ids", |tx| {
        let anchors = tx.anchors()?;
        let heads = iter::once(anchors.key_id).chain(anchors.previous_key);
        let moving = tx.key_materials_moving_ids()?.into_iter().chain(tx.condemned_ids()?);
        let moving: Vec<_> = moving.collect();
        Ok((tx.key_version_ids()?, tx.import_parameters_ids()?, moving, heads.collect::<Vec<_>>()))
    })?;
    let condemned = moving.clone();
    let unready = pairs.iter().filter(|(_, ready)| !ready).map(|(id, _)| *id);
    let mut found = Mismatch { half_made: unready.chain(moving).collect(), ..Mismatch::default() };
    let versions = rows.iter().map(|(id, ..)| *id);
    let known: HashSet<KeyVersionId> =
        versions.chain(pairs.iter().map(|(id, _)| *id)).chain(system.iter().copied()).chain(condemned).chain(heads).collect();
    // What was listed may have gone since, with its row; what was not may have come with its own.
    for id in objects.difference(&known) {
        if token.exists(id)? {
            found.without_row.push(*id);
        }
    }
    for (id, ready, state, origin) in rows {
        if !ready {
            found.half_made.push(id);
        } else if origin == Origin::Service && state != KeyState::Deleted && !objects.contains(&id) && !token.exists(&id)? {
            found.without_object.push(id);
        }
    }
    Ok(found)
}
