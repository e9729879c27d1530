//! The secrets, compared with their digests part by part, in a pass that never ends; and what is not served because of what it found.
//!
//! Owns: the comparison of a part, and the refusal of what did not fit. Must not know: when a part is due. Called by: jobs; tx, for every
//! secret that is read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;

use crate::base::ids::{AccountId, SecretId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::digest::Digest;
use crate::store::engine::known::{ExactPart, PartState};
use crate::store::engine::part_sum::{Difference, PartSum};
use crate::store::engine::row_mac::{RowMac, Sealed};
use crate::store::engine::schema::{rotation_accounts, rotations, secret_versions, secrets, tags, version_stages};
use crate::store::engine::scope::{Child, Counted, part_of, range};
use crate::store::engine::statements::load_each;
use crate::store::engine::tx::{Sifted, Sums};
use crate::store::ledger::head::is_after;
use crate::store::shared::tags::TagRecord;
use crate::store::{RotationAccountRow, RotationRow, SecretRow, StageRow, Store, StoreError, Tx, VersionHead};

/// How many parts there are.
pub const PARTS: u16 = 256;

/// What a look at a part found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartFound {
    /// Rows that were read.
    pub rows: u64,
    /// What does not fit, in words, by name where there is one; empty where all does.
    pub strange: Vec<String>,
    /// Rows that are as good as none, in words: nobody's, so that nothing is refused because of them.
    nobodys: Vec<String>,
    secrets: Vec<SecretId>,
    all: bool,
    /// Accounts of which `secret_counts` says another number than there are.
    miscounted: Vec<AccountId>,
    /// Whether `secret_counts` has rows of parts that there are none of, which is looked at with the first.
    counts_of_no_part: bool,
    /// The rows that are there, where they are remembered.
    macs: HashMap<SecretId, RowMac>,
}

impl PartFound {
    /// All that is told of it.
    pub(in crate::store) fn told(self) -> Vec<String> {
        self.strange.into_iter().chain(self.nobodys).collect()
    }

    fn nobodys(&mut self, table: &str, part: u8, count: usize) {
        if count > 0 {
            let among = format!("{count} rows of {table}, among those of secrets whose ids begin with {part:02x},");
            self.nobodys.push(format!("{among} do not verify, and are taken for none"));
        }
    }
}

#[cfg(test)]
impl PartFound {
    /// Whether none of the part is believed.
    pub(in crate::store) fn all(&self) -> bool {
        self.all
    }

    /// The secrets that are not.
    pub(in crate::store) fn secrets(&self) -> &[SecretId] {
        &self.secrets
    }
}

impl Store {
    /// Compares a part of the secrets, and all that belongs to them, with its digest. What does not fit is not served from then on, until
    /// it fits again.
    ///
    /// # Errors
    /// As any read. What does not fit is in the answer.
    pub fn part_check(&self, part: u8) -> Result<PartFound, StoreError> {
        let known = self.seals.known().part(part);
        let mut found = match self.read_rows("part_check", |tx| tx.part_check(part, known.as_ref())) {
            Err(StoreError::Corrupt { table, detail }) => {
                let what = format!("all secrets whose ids begin with {part:02x}: a row of {table} does not verify: {detail}");
                PartFound { strange: vec![what], all: true, ..PartFound::default() }
            }
            found => found?,
        };
        self.seals.known().set_quarantine(part, found.all, &found.secrets);
        // What was found is told, whether it can be put right or not.
        let recounted = |account| self.write_rows("secrets_recount", |tx| tx.secrets_recount(account, part));
        let cleared = found.counts_of_no_part.then(|| self.write_rows("secrets_recount", |tx| tx.counts_of_no_part_delete()));
        let failed = found.miscounted.iter().map(recounted).chain(cleared).filter_map(Result::err);
        let failed: Vec<_> = failed.map(|error| format!("secret_counts: it could not be put right: {error}")).collect();
        found.strange.append(&mut found.nobodys);
        found.strange.extend(failed);
        Ok(found)
    }

    /// The parts in which a comparison has found something that is not served.
    pub fn quarantined_parts(&self) -> Vec<u8> {
        self.seals.known().quarantined_parts()
    }

    /// Notes that every part was compared.
    pub fn pass_done(&self) {
        self.seals.known().pass_done();
    }

    /// How long ago the last complete pass over the secrets ended; since this store was opened where there was none yet.
    pub fn pass_age(&self) -> Duration {
        self.seals.known().pass_age()
    }

    /// How many secrets, and whole parts, are not served.
    pub fn quarantined(&self) -> (usize, usize) {
        self.seals.known().quarantined()
    }
}

/// Loads the rows of a table that belong to secrets of a part, and adds what a content counts for them.
macro_rules! children {
    ($tx:ident, $found:ident, $sums:ident, $part:ident, $table:ident: $row:ty, $range:expr) => {{
        let rows = $table::table.filter($range);
        // A row that does not verify counts for nothing: where it has taken the place of another, its secret does not fit.
        let Sifted { rows, strange } = $tx.sifted::<$row>(load_each!(rows.select((<$row>::as_select(), $table::mac))))?;
        $found.rows += (rows.len() + strange) as u64;
        $found.nobodys(stringify!($table), $part, strange);
        for (row, mac) in rows {
            if let Counted::Child(secret, child) = row.counted() {
                let sum = &mut $sums.entry(secret).or_default()[child as usize];
                *sum = sum.plus($tx.child_element(&row, &mac));
            }
        }
    }};
}

impl Tx<'_> {
    /// Refuses a secret that was found not to be as it should; where reads are exact, also one that is not among those of now.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(in crate::store) fn served(&mut self, secret: &SecretId, mac: &RowMac) -> Result<(), StoreError> {
        let known = self.seals().known();
        // A write was preceded by a read, and serves nothing.
        let is_one = !known.is_exact() || !self.reads_only() || self.is_of_now(secret, mac)?;
        if is_one && !known.is_quarantined(secret) {
            return Ok(());
        }
        Err(self
            .corrupt(SecretRow::TABLE, format!("secret {secret}, or one beside it, was deleted or put back as it was earlier")))
    }

    /// Whether a secret's row is one that its part has in this snapshot.
    fn is_of_now(&mut self, secret: &SecretId, mac: &RowMac) -> Result<bool, StoreError> {
        self.in_snapshot()?;
        let part = part_of(secret);
        let digest = self.part_row(part)?.map(|stored| stored.mac);
        if let Some(exact) = self.seals().known().exact_part(part).filter(|exact| exact.digest == digest) {
            return Ok(exact.secrets.get(secret) == Some(mac));
        }
        let found = self.part_check(part, None)?;
        if found.all || found.secrets.contains(secret) {
            return Ok(false);
        }
        let is_one = found.macs.get(secret) == Some(mac);
        if found.strange.is_empty() {
            self.seals().known().set_exact_part(part, Arc::new(ExactPart { digest, secrets: found.macs }));
        }
        Ok(is_one)
    }

    /// What does not fit in a part.
    pub(in crate::store) fn part_check(&mut self, part: u8, known: Option<&PartState>) -> Result<PartFound, StoreError> {
        let mut found = PartFound::default();
        let sums = self.children_of(part, &mut found)?;
        let (from, to) = range(part);
        let rows = secrets::table.filter(secrets::id.between(&from[..], &to[..]));
        let rows: Vec<QueryResult<(SecretRow, Vec<u8>)>> =
            self.run(SecretRow::TABLE, load_each!(rows.select((SecretRow::as_select(), secrets::mac))))?;
        found.rows += rows.len() as u64;
        let (mut sum, mut names) = (PartSum::default(), HashMap::new());
        let mut counts: HashMap<AccountId, i64> = HashMap::new();
        let mut unread = 0;
        for row in rows {
            // Where it has taken the place of a secret's row, that one is gone.
            let Some((row, mac)) = self.readable(SecretRow::TABLE, row)? else {
                unread += 1;
                continue;
            };
            *counts.entry(row.account_id.clone()).or_default() += 1;
            if self.seals().known().is_exact() {
                found.macs.insert(row.id, RowMac::try_from(mac.as_slice()).unwrap_or_default());
            }
            names.insert(row.id, format!("secret {} of account {}", row.name, row.account_id));
            if !self.seals().verify(&row, &mac) {
                found.strange.push(format!("{}: its row was changed", names[&row.id]));
                found.secrets.push(row.id);
                continue;
            }
            sum = sum.plus(PartSum::of(&row.id, self.seals().element(SecretRow::TABLE, &[], &mac)));
            let there = sums.get(&row.id).copied().unwrap_or_default();
            let halves = |sums: Sums| sums.map(Digest::half);
            if halves(self.sums_of(&row)?) != halves(there) {
                found.strange.push(format!("{}: labels, versions, tags or its rotation were changed", names[&row.id]));
                found.secrets.push(row.id);
            }
        }
        found.nobodys(SecretRow::TABLE, part, unread);
        if part == 0 {
            let strange = self.parts_strange()?;
            if strange > 0 {
                found.nobodys.push(format!("parts: {strange} rows are of parts that there are none of"));
            }
        }
        for orphan in sums.keys().filter(|id| !names.contains_key(id)) {
            found.strange.push(format!("secret {orphan}: its row was deleted"));
            found.secrets.push(*orphan);
        }
        let stored = self.part_row(part)?;
        let state = stored.as_ref().map(|stored| PartState { seq: stored.row.seq, sum: stored.sum, mac: stored.mac });
        if known.is_some_and(|known| !is_after(state.as_ref(), known)) {
            found.strange.push(format!("all secrets whose ids begin with {part:02x}: put back under this node"));
            found.all = true;
        }
        let there: Vec<SecretId> = names.keys().copied().collect();
        for difference in state.map_or_else(PartSum::default, |state| state.sum).differences(sum, &there) {
            match difference {
                Difference::Gone(id) if found.secrets.contains(&id) => {}
                Difference::Strange(id) if found.secrets.contains(&id) => {}
                Difference::Gone(id) => {
                    found.strange.push(format!("secret {id}: deleted with all that belonged to it"));
                    found.secrets.push(id);
                }
                Difference::Strange(id) => {
                    found.strange.push(format!("{}: put back as it was earlier", names[&id]));
                    found.secrets.push(id);
                }
                Difference::Many => {
                    found.strange.push(format!("several secrets whose ids begin with {part:02x}: deleted, or put back"));
                    found.all = true;
                }
            }
        }
        if found.strange.is_empty() {
            self.counts_check(part, counts, &mut found)?;
        }
        Ok(found)
    }

    /// Compares what `secret_counts` says of a part whose secrets are as they should be; it has no MAC.
    fn counts_check(&mut self, part: u8, mut there: HashMap<AccountId, i64>, found: &mut PartFound) -> Result<(), StoreError> {
        let of_no_part = if part == 0 { self.counts_of_no_part()? } else { 0 };
        found.counts_of_no_part = of_no_part > 0;
        if found.counts_of_no_part {
            found.strange.push(format!("secret_counts: {of_no_part} rows are of parts that there are none of"));
        }
        let (counted, strange) = self.secrets_counted_in(part)?;
        found.nobodys("secret_counts", part, strange);
        let mut told = |account: AccountId, said: i64, there: i64| {
            if said != there {
                found.strange.push(format!(
                    "account {account}: by its count it had {said} secrets whose ids begin with {part:02x}, and it has {there}"
                ));
                found.miscounted.push(account);
            }
        };
        for (account, said) in counted {
            let there = there.remove(&account).unwrap_or_default();
            told(account, said, there);
        }
        there.into_iter().for_each(|(account, there)| told(account, 0, there));
        Ok(())
    }

    /// What belongs to the secrets of a part.
    pub(in crate::store) fn children_of(
        &mut self,
        part: u8,
        found: &mut PartFound,
    ) -> Result<HashMap<SecretId, Sums>, StoreError> {
        let (from, to) = range(part);
        let (from, to) = (&from[..], &to[..]);
        let mut sums: HashMap<SecretId, Sums> = HashMap::new();
        children!(self, found, sums, part, version_stages: StageRow, version_stages::secret_id.between(from, to));
        children!(self, found, sums, part, rotations: RotationRow, rotations::secret_id.between(from, to));
        children!(self, found, sums, part, rotation_accounts: RotationAccountRow, rotation_accounts::secret_id.between(from, to));
        // Of secrets, not of keys, whose tags are in the same range.
        children!(self, found, sums, part, tags: TagRecord, tags::resource_id.between(from, to));
        let rows = secret_versions::table.filter(secret_versions::secret_id.between(from, to));
        let heads: Vec<QueryResult<VersionHead>> =
            self.run("secret_versions", load_each!(rows.select(VersionHead::as_select())))?;
        found.rows += heads.len() as u64;
        let mut strange = 0;
        for head in heads {
            let Some(head) = self.readable("secret_versions", head)? else {
                strange += 1;
                continue;
            };
            let element = self.head_element(&head);
            let sum = &mut sums.entry(head.secret_id).or_default()[Child::Version as usize];
            *sum = sum.plus(element);
        }
        found.nobodys("secret_versions", part, strange);
        Ok(sums)
    }
}
