//! Who may do what, proved exactly with its digests whenever it is read.
//!
//! Owns: how the digests are read and kept, and the comparison. Must not know: what the rows say. Called by: tx, for every such row that is
//! read; the files of the rows, for lists that must be whole; auth, which asks what has changed.
//!
//! A row is believed if it is among those that a digest has proved; which those are is remembered until the digest changes. So a request
//! costs no query for it, and the first after a change proves the scope anew.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use crate::store::engine::digest::Digest;
use crate::store::engine::known::{Changed, Scopes};
use crate::store::engine::row_mac::RowMac;
use crate::store::engine::scope::Scope;
use crate::store::ledger::digests::{ScopeRow, Stored};
use crate::store::{Store, StoreError, Tx};

const TABLE: &str = "scopes";

impl Store {
    /// How many changes of who may do what there have been, and what those after the first `since` were about; none where
    /// they may have been about any.
    ///
    /// # Errors
    /// `Corrupt` when the digests do not verify or were put back; else as any read.
    pub fn rights_since(&self, since: i64) -> Result<(i64, Option<Changed>), StoreError> {
        let now = self.read_rows("rights", |tx| Ok(tx.rights()?.seq))?;
        Ok((now, self.seals.known().changed_since(since)))
    }

    /// Compares a 256th of the digests of who may do what, and of keys, with the rows that they count; what does not fit. Reads ask for
    /// rows that are there: this finds those that are not.
    ///
    /// # Errors
    /// `Corrupt` when the digests themselves do not verify.
    pub fn scopes_check(&self, part: u8) -> Result<Vec<String>, StoreError> {
        let rights = self.read_rows("scopes_check", |tx| tx.rights())?;
        let mut strange = Vec::new();
        if part == 0 && rights.strange > 0 {
            strange.push(format!(
                "{} rows of scopes do not verify, and are taken for none; `bulla verify` names them",
                rights.strange
            ));
        }
        for key in rights.digests.piece(part).map(<[u8]>::to_vec) {
            let Some(scope) = Scope::of(&key) else { continue };
            match self.read_rows("scope_check", |tx| tx.scope_fits(&scope, &key)) {
                Err(error @ StoreError::Corrupt { .. }) => strange.push(format!("{scope}: {error}")),
                other => other?,
            }
        }
        Ok(strange)
    }
}

impl Tx<'_> {
    /// How many changes of who may do what there have been. What was read before the number changed may be remembered until it does.
    ///
    /// # Errors
    /// As any read.
    pub fn rights_revision(&mut self) -> Result<i64, StoreError> {
        Ok(self.rights()?.seq)
    }

    /// Proves that a row of a scope is one of now.
    pub(in crate::store) fn fresh(&mut self, scope: &Scope, mac: &RowMac) -> Result<(), StoreError> {
        self.believed(scope, std::slice::from_ref(mac), None)
    }

    /// Proves that these are all rows that a table has of a scope, each once: a view may give one twice in the place of another.
    pub(in crate::store) fn whole(&mut self, scope: &Scope, table: &'static str, macs: &[RowMac]) -> Result<(), StoreError> {
        if macs.iter().collect::<HashSet<_>>().len() < macs.len() {
            return Err(self.put_back(scope));
        }
        self.believed(scope, macs, Some(table))
    }

    /// Proves that nothing is counted of a scope, of which nothing was found.
    pub(in crate::store) fn nothing_of(&mut self, scope: &Scope) -> Result<(), StoreError> {
        let key = scope.key();
        if self.changes.scopes.contains_key(&key) || self.rights()?.digests.of(&key) == Digest::default() {
            return Ok(());
        }
        Err(self.put_back(scope))
    }

    /// Proves a scope as [`Tx::prove_scope`] does, and remembers nothing.
    fn scope_fits(&mut self, scope: &Scope, key: &[u8]) -> Result<(), StoreError> {
        let stored = self.rights()?.digests.of(key);
        if self.family(scope)?.0 == stored { Ok(()) } else { Err(self.put_back(scope)) }
    }

    fn believed(&mut self, scope: &Scope, macs: &[RowMac], all_of: Option<&'static str>) -> Result<(), StoreError> {
        let key = scope.key();
        if !self.proved.contains_key(&key) {
            let untouched = !self.changes.scopes.contains_key(&key);
            let known = self.seals().known();
            if untouched && known.has_proved(&key, macs, all_of) {
                return Ok(());
            }
            let scopes = self.rights()?;
            // Perhaps it was only long ago that somebody asked.
            if untouched && self.reads_only() && known.has_proved(&key, macs, all_of) {
                return Ok(());
            }
            self.prove_scope(scope, key.clone(), &scopes)?;
        }
        let rows = &self.proved[&key];
        let all = |table: &str| rows.values().filter(|found| **found == table).count() == macs.len();
        if macs.iter().all(|mac| rows.contains_key(mac)) && all_of.is_none_or(all) {
            return Ok(());
        }
        Err(self.put_back(scope))
    }

    /// Compares the rows of a scope, in the same snapshot, with its digest and what this write has changed.
    pub(in crate::store) fn prove_scope(&mut self, scope: &Scope, key: Vec<u8>, scopes: &Scopes) -> Result<(), StoreError> {
        let (found, rows) = self.family(scope)?;
        let stored = scopes.digests.of(&key);
        let pending = self.changes.scopes.get(&key).copied().unwrap_or_default();
        if found != stored.plus(pending) {
            return Err(self.put_back(scope));
        }
        if self.reads_only() {
            self.seals().known().remember(key.clone(), stored, rows.clone());
        }
        self.proved.insert(key, rows);
        Ok(())
    }

    fn put_back(&mut self, scope: &Scope) -> StoreError {
        self.corrupt(TABLE, format!("rows of {scope} were deleted, or put back as they were earlier"))
    }

    /// The digests of who may do what, which add up to what the root says.
    pub(in crate::store) fn rights(&mut self) -> Result<Arc<Scopes>, StoreError> {
        if let Some(scopes) = &self.scopes {
            return Ok(Arc::clone(scopes));
        }
        self.in_snapshot()?;
        let asked = Instant::now();
        let root = self.root()?;
        let known = self.seals().known().scopes();
        let scopes = if known.root == root.as_ref().map(|root| root.mac) {
            known
        } else {
            let newer = self.after(&known, root.as_ref())?;
            // Less than what it knew: rows of scopes have gone, rightly or not.
            let all = match newer {
                Some(newer) => Some(newer),
                None => self.after(&Scopes::default(), root.as_ref())?,
            };
            Arc::new(all.ok_or_else(|| self.corrupt(TABLE, "the digests of who may do what do not add up"))?)
        };
        if self.reads_only() {
            self.seals().known().learn(Arc::clone(&scopes), asked);
        }
        self.scopes = Some(Arc::clone(&scopes));
        Ok(scopes)
    }

    /// What was known, with what was written since; none if that is not what the root counts.
    fn after(&mut self, known: &Scopes, root: Option<&Stored<ScopeRow>>) -> Result<Option<Scopes>, StoreError> {
        let mut digests = known.digests.clone();
        let (found, strange) = self.scopes_after(known.seq)?;
        for found in found {
            let element = self.scope_element(&found.mac);
            digests.put(found.row.scope, found.sum, element);
        }
        let (seq, counted) = root.map_or((0, Digest::default()), |root| (root.row.seq, root.sum));
        Ok((digests.sum() == counted).then(|| Scopes { seq, root: root.map(|root| root.mac), digests, strange }))
    }
}
