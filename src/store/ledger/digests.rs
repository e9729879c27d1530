//! The rows that hold the digests, and how a write changes them at its end.
//!
//! Owns: the rows of scopes and parts. Must not know: which rows are counted where (the files of the rows say it). Called by: runner, the rest of the
//! ledger.
//!
//! A scope without a row has a sum of zero. Every change of a scope goes through the root, which counts the rows of all others and
//! numbers the changes. Parts have no root: writers of secrets would all meet in it. What holds them together is that their numbers only
//! rise (`known`, and the anchors outside the database).

use std::collections::BTreeMap;

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::store::engine::connection::per_backend;
use crate::store::engine::digest::{Digest, WHOLE};
use crate::store::engine::known::PartState;
use crate::store::engine::level::Level;
use crate::store::engine::part_sum::{LENGTH, PartSum};
use crate::store::engine::row_mac::{RowMac, Sealed};
use crate::store::engine::schema::{parts, scopes};
use crate::store::engine::scope::{Counted, LAST_PART, ROOT, Scope};
use crate::store::engine::statements::{insert, load_each, remove, replace};
use crate::store::engine::tx::{Sifted, every};
use crate::store::engine::update::update;
use crate::store::{StoreError, Tx, expect_changed};

/// The digest of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = scopes, treat_none_as_default_value = false)]
#[diesel(primary_key(scope))]
pub(in crate::store) struct ScopeRow {
    /// [`ROOT`], or the key of a scope.
    pub(in crate::store) scope: Vec<u8>,
    /// The number of the change that wrote it; of the root, of changes in all.
    pub(in crate::store) seq: i64,
    /// The sum, masked.
    pub(in crate::store) digest: Vec<u8>,
}

impl Sealed for ScopeRow {
    const TABLE: &'static str = "scopes";

    fn name(&self) -> String {
        Scope::of(&self.scope).map_or_else(|| "all".to_owned(), |scope| scope.to_string())
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(&self.scope).integer(self.seq).field(&self.digest)
    }

    fn counted(&self) -> Counted {
        Counted::Nowhere
    }
}

/// The digest of a part of the secrets.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = parts, treat_none_as_default_value = false)]
#[diesel(primary_key(part))]
pub(in crate::store) struct PartRow {
    /// The first byte of the ids of its secrets.
    pub(in crate::store) part: i16,
    /// How often it has changed.
    pub(in crate::store) seq: i64,
    /// The sum, masked.
    pub(in crate::store) digest: Vec<u8>,
}

impl Sealed for PartRow {
    const TABLE: &'static str = "parts";

    fn name(&self) -> String {
        format!("part {:02x}", self.part)
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.integer(self.part.into()).integer(self.seq).field(&self.digest)
    }

    fn counted(&self) -> Counted {
        Counted::Nowhere
    }
}

/// A digest that was read, and where it stands.
pub(in crate::store) struct Stored<R, S = Digest> {
    pub(in crate::store) row: R,
    pub(in crate::store) mac: RowMac,
    pub(in crate::store) sum: S,
}

fn place_of_scope(scope: &[u8]) -> Vec<u8> {
    [b"scope".as_slice(), scope].concat()
}

fn place_of_part(part: u8) -> [u8; 5] {
    [b'p', b'a', b'r', b't', part]
}

/// Two that begin the same set at once: the next attempt sees the other's row.
fn again(error: StoreError) -> StoreError {
    if error == StoreError::Conflict { StoreError::Busy } else { error }
}

/// The statement that changes a part which stands as it is known.
macro_rules! exchange_part {
    ($known:expr, $row:expr, $state:expr) => {
        update(
            &parts::table,
            parts::part.eq($row.part).and(parts::mac.eq($known.mac.to_vec())),
            ($row, parts::mac.eq($state.mac.to_vec())),
        )
    };
}

impl Tx<'_> {
    /// Brings the digests up to what this write has changed. The last thing that it does.
    ///
    /// # Errors
    /// As any write; `Corrupt` when a digest does not verify.
    pub(in crate::store) fn end_of_write(&mut self) -> Result<(), StoreError> {
        self.contents_end()?;
        let parts = std::mem::take(&mut self.changes.parts);
        let parts: Vec<_> = parts.into_iter().filter(|(_, by)| *by != PartSum::default()).collect();
        let scopes = std::mem::take(&mut self.changes.scopes);
        let scopes: Vec<_> = scopes.into_iter().filter(|(_, by)| *by != Digest::default()).collect();
        if self.asks_nothing() && scopes.is_empty() {
            return self.end_alone(parts);
        }
        for (part, by) in parts {
            self.part_change(part, by)?;
        }
        if !scopes.is_empty() {
            self.scopes_change(scopes)?;
        }
        self.send_waiting().map(drop)
    }

    fn scopes_change(&mut self, changes: Vec<(Vec<u8>, Digest)>) -> Result<(), StoreError> {
        let root = self.root()?;
        let (seq, mut sum) = root.as_ref().map_or((1, Digest::default()), |root| (root.row.seq + 1, root.sum));
        for (scope, by) in changes {
            let old = self.scope_row(&scope)?;
            let new = old.as_ref().map_or_else(Digest::default, |old| old.sum).plus(by);
            if let Some(old) = &old {
                sum = sum.minus(self.scope_element(&old.mac));
            }
            let digest = self.seals().mask(&place_of_scope(&scope), &new.bytes());
            let row = ScopeRow { scope, seq, digest };
            let there = scopes::scope.eq(&row.scope);
            match &old {
                // Of tokens some end at any moment, and there are few scopes of them: who reads on need not look for one that has gone.
                Some(old) if new == Digest::default() && !Scope::is_of_tokens(&row.scope) => {
                    expect_changed(remove!(self, scopes, &old.row, there)?, ScopeRow::TABLE)?;
                    continue;
                }
                Some(old) => expect_changed(replace!(self, scopes, &old.row => &row, there)?, ScopeRow::TABLE)?,
                None => insert!(self, scopes, &row).map_err(again)?,
            }
            let mac = self.mac(&row);
            sum = sum.plus(self.scope_element(&mac));
        }
        let digest = self.seals().mask(&place_of_scope(ROOT), &sum.bytes());
        let new = ScopeRow { scope: ROOT.to_vec(), seq, digest };
        match &root {
            Some(old) => expect_changed(replace!(self, scopes, &old.row => &new, scopes::scope.eq(ROOT))?, ScopeRow::TABLE)?,
            None => insert!(self, scopes, &new).map_err(again)?,
        }
        self.written.root = Some(seq);
        Ok(())
    }

    /// The end of a write that has asked nothing: the parts must stand as this node knows them. Who changes one of them here waits for it.
    fn end_alone(&mut self, parts: Vec<(u8, PartSum)>) -> Result<(), StoreError> {
        let mut after = Vec::new();
        for (part, by) in parts {
            let Some(known) = self.take_turn(part) else { return Err(self.missed()) };
            let (row, state) = self.part_next(part, &known, by);
            self.put_off(PartRow::TABLE, Box::new(exchange_part!(known, row, state)), true);
            after.push((part, state));
        }
        self.send_alone()?;
        after.iter().for_each(|(part, state)| self.seals().known().saw_part(*part, *state));
        Ok(())
    }

    /// Changes a part: at once where this node knows how it stands, which is so unless another node wrote.
    fn part_change(&mut self, part: u8, by: PartSum) -> Result<(), StoreError> {
        if let Some(known) = self.seals().known().part(part) {
            let (row, state) = self.part_next(part, &known, by);
            let update = exchange_part!(known, row, state);
            let changed = if self.puts_off() {
                self.send_with(PartRow::TABLE, Box::new(update))? > 0
            } else {
                self.changed(PartRow::TABLE, per_backend!(|conn| update.execute(conn)))?
            };
            if changed {
                self.written.parts.push((part, state));
                return Ok(());
            }
        }
        let old = self.part_row(part)?;
        let known = match &old {
            Some(old) => PartState { seq: old.row.seq, sum: old.sum, mac: old.mac },
            None => PartState { seq: 0, sum: PartSum::default(), mac: RowMac::default() },
        };
        let (row, state) = self.part_next(part, &known, by);
        match &old {
            Some(old) => expect_changed(replace!(self, parts, &old.row => &row, parts::part.eq(row.part))?, PartRow::TABLE)?,
            None => insert!(self, parts, &row).map_err(again)?,
        }
        self.written.parts.push((part, state));
        Ok(())
    }

    /// The row of a part after a change, and how it stands then.
    fn part_next(&self, part: u8, known: &PartState, by: PartSum) -> (PartRow, PartState) {
        let (seq, sum) = (known.seq + 1, known.sum.plus(by));
        let digest = self.seals().mask(&place_of_part(part), &sum.bytes());
        let row = PartRow { part: part.into(), seq, digest };
        let mac = self.mac(&row);
        (row, PartState { seq, sum, mac })
    }

    /// Writes all digests anew, of rows that were all sealed anew: of scopes, behind so many changes, and of parts behind as many each.
    pub(in crate::store) fn digests_renew(
        &mut self,
        changes: i64,
        sums: BTreeMap<Vec<u8>, Digest>,
        parts: impl Iterator<Item = (u8, i64, PartSum)>,
    ) -> Result<(), StoreError> {
        self.run_change(ScopeRow::TABLE, per_backend!(|conn| diesel::delete(scopes::table).execute(conn)))?;
        self.run_change(PartRow::TABLE, per_backend!(|conn| diesel::delete(parts::table).execute(conn)))?;
        let (seq, mut all) = (changes + 1, Digest::default());
        for (scope, sum) in sums {
            let digest = self.seals().mask(&place_of_scope(&scope), &sum.bytes());
            let row = ScopeRow { scope, seq, digest };
            insert!(self, scopes, &row)?;
            let mac = self.mac(&row);
            all = all.plus(self.scope_element(&mac));
        }
        let digest = self.seals().mask(&place_of_scope(ROOT), &all.bytes());
        let root = ScopeRow { scope: ROOT.to_vec(), seq, digest };
        insert!(self, scopes, &root)?;
        for (part, seq, sum) in parts {
            let known = PartState { seq, sum, mac: RowMac::default() };
            let (row, _) = self.part_next(part, &known, PartSum::default());
            insert!(self, parts, &row)?;
        }
        Ok(())
    }

    /// What the root counts for the row of a scope.
    pub(in crate::store) fn scope_element(&self, mac: &RowMac) -> Digest {
        self.seals().element(ScopeRow::TABLE, &[], mac)
    }

    /// The row that counts all others.
    ///
    /// # Errors
    /// `Corrupt` when it was put back: when this node knows of more changes.
    pub(in crate::store) fn root(&mut self) -> Result<Option<Stored<ScopeRow>>, StoreError> {
        let root = self.scope_row(ROOT)?;
        let (now, known) = (root.as_ref().map_or(0, |root| root.row.seq), self.floor());
        if now < known {
            let detail = format!(
                "who may do what has had {now} changes and had {known}: the database was put back as it was; see `bulla restore`"
            );
            return Err(self.corrupt(ScopeRow::TABLE, detail));
        }
        Ok(root)
    }

    fn scope_row(&mut self, scope: &[u8]) -> Result<Option<Stored<ScopeRow>>, StoreError> {
        let query = scopes::table.find(scope);
        let found: Option<(ScopeRow, Vec<u8>)> = self.run(
            ScopeRow::TABLE,
            per_backend!(|conn| query.select((ScopeRow::as_select(), scopes::mac)).get_result(conn).optional()),
        )?;
        found.map(|found| self.scope_of(found, |row| row.scope == scope)).transpose()
    }

    /// The rows of scopes that were written after a number of changes, but for the root; and how many rows do not verify. Those are as good
    /// as none: the root counts the true ones.
    pub(in crate::store) fn scopes_after(&mut self, seq: i64) -> Result<(Vec<Stored<ScopeRow>>, usize), StoreError> {
        let query = scopes::table.filter(scopes::seq.gt(seq)).filter(scopes::scope.ne(ROOT));
        let Sifted { rows, strange } = self.sifted(load_each!(query.select((ScopeRow::as_select(), scopes::mac))))?;
        let rows = rows.into_iter().map(|found| self.scope_of(found, |row| row.seq > seq && row.scope != ROOT));
        Ok((rows.collect::<Result<_, _>>()?, strange))
    }

    fn scope_of(
        &mut self,
        found: (ScopeRow, Vec<u8>),
        asked: impl Fn(&ScopeRow) -> bool,
    ) -> Result<Stored<ScopeRow>, StoreError> {
        let (row, mac) = self.sealed(found, asked)?;
        let sum = self.seals().unmask(&place_of_scope(&row.scope), &row.digest, WHOLE);
        let Some(sum) = sum.and_then(|sum| <[u8; WHOLE]>::try_from(sum).ok()).map(|sum| Digest::of(&sum)) else {
            return Err(self.corrupt(ScopeRow::TABLE, "a digest of another length"));
        };
        Ok(Stored { row, mac, sum })
    }

    /// The digest of a part.
    pub(in crate::store) fn part_row(&mut self, part: u8) -> Result<Option<Stored<PartRow, PartSum>>, StoreError> {
        let query = parts::table.find(i16::from(part));
        let found: Option<(PartRow, Vec<u8>)> = self.run(
            PartRow::TABLE,
            per_backend!(|conn| query.select((PartRow::as_select(), parts::mac)).get_result(conn).optional()),
        )?;
        found.map(|found| self.part_of(found, |row| row.part == i16::from(part))).transpose()
    }

    /// The digests of all parts that have one, in order. A row that does not verify is as good as none, so that its part has fallen, and no
    /// other is looked at the less; so is a second one of a part, and one that no part can have.
    pub(in crate::store) fn part_rows(&mut self) -> Result<Vec<Stored<PartRow, PartSum>>, StoreError> {
        // In SQL: a number that SQLite holds, and the column's type does not, is read as another one.
        let query = parts::table.filter(parts::part.between(0, LAST_PART)).order((parts::part, parts::seq));
        let found = self.sifted(load_each!(query.select((PartRow::as_select(), parts::mac))))?;
        let mut rows: Vec<Stored<PartRow, PartSum>> = Vec::with_capacity(found.rows.len());
        for (row, mac) in found.rows {
            let next = rows.last().map_or(0, |last| last.row.part + 1);
            if (next..=LAST_PART).contains(&row.part) {
                rows.push(self.part_of((row, mac), every)?);
            }
        }
        Ok(rows)
    }

    /// How many rows there are of parts that there are none of.
    pub(in crate::store) fn parts_strange(&mut self) -> Result<i64, StoreError> {
        let strange = parts::table.filter(parts::part.lt(0).or(parts::part.gt(LAST_PART)));
        self.run(PartRow::TABLE, per_backend!(|conn| strange.count().get_result(conn)))
    }

    fn part_of(
        &mut self,
        found: (PartRow, Vec<u8>),
        asked: impl Fn(&PartRow) -> bool,
    ) -> Result<Stored<PartRow, PartSum>, StoreError> {
        let (row, mac) = self.sealed(found, asked)?;
        // Asked for: below 256.
        let place = place_of_part(row.part as u8);
        let sum = self.seals().unmask(&place, &row.digest, LENGTH).and_then(|sum| <[u8; LENGTH]>::try_from(sum).ok());
        let Some(sum) = sum.map(|sum| PartSum::from_bytes(&sum)) else {
            return Err(self.corrupt(PartRow::TABLE, "a digest of another length"));
        };
        Ok(Stored { row, mac, sum })
    }

    fn sealed<R: Sealed>(&mut self, found: (R, Vec<u8>), asked: impl Fn(&R) -> bool) -> Result<(R, RowMac), StoreError> {
        let mac = RowMac::try_from(found.1.as_slice()).unwrap_or_default();
        Ok((self.verified_alone(found, asked)?, mac))
    }
}
