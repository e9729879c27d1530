//! What belongs to a secret, bound in its row: sums of its labels, of its versions, of its tags, and of what is said of its rotation.
//!
//! Owns: the column `content`, how writes keep it, and the comparison. Must not know: what a label says. Called by: the files of a secret's rows,
//! at every read of them.
//!
//! A write changes the column once, at its end, in the statement that marks the secret as changed where there is one. Reads compare
//! what they found with the row of the secret that they have read, or read it for that.

use diesel::prelude::*;

use crate::base::ids::{AccountId, SecretId, SecretName};
use crate::store::engine::connection::{Conn, per_backend};
use crate::store::engine::content::Content;
use crate::store::engine::digest::{Digest, HALF};
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::secrets;
use crate::store::engine::scope::{Child, Counted};
use crate::store::engine::statements::exchange;
use crate::store::engine::tx::Sums;
use crate::store::{SecretRow, StageRow, StoreError, Tx, VersionRow, expect_changed};

/// A change of a secret that was kept back.
struct Kept {
    old: SecretRow,
    new: SecretRow,
}

fn place_of(secret: &SecretId) -> [u8; 23] {
    let mut place = *b"content________________";
    place[7..].copy_from_slice(secret.as_bytes());
    place
}

fn is_nothing(sums: &Sums) -> bool {
    sums.iter().all(|sum| sum.half() == Digest::default())
}

impl Tx<'_> {
    /// The column of a secret to which this belongs.
    pub(in crate::store) fn content(&self, secret: &SecretId, sums: &Sums) -> Content {
        if is_nothing(sums) {
            return Content::default();
        }
        let bytes: Vec<u8> = sums.iter().flat_map(|sum| sum.bytes()[..HALF].to_vec()).collect();
        Content(self.seals().mask(&place_of(secret), &bytes))
    }

    /// What a secret says that belongs to it.
    pub(in crate::store) fn sums_of(&mut self, row: &SecretRow) -> Result<Sums, StoreError> {
        let mut sums = Sums::default();
        if row.content.0.is_empty() {
            return Ok(sums);
        }
        let Some(bytes) = self.seals().unmask(&place_of(&row.id), &row.content.0, sums.len() * HALF) else {
            return Err(self.corrupt(SecretRow::TABLE, "a content of another length"));
        };
        for (sum, half) in sums.iter_mut().zip(bytes.as_chunks::<HALF>().0) {
            let mut whole = [0; 32];
            whole[..HALF].copy_from_slice(half);
            *sum = Digest::of(&whole);
        }
        Ok(sums)
    }

    /// Whether a secret has tags, by what its row says.
    ///
    /// # Errors
    /// `Corrupt` when that cannot be read.
    pub fn has_tags(&mut self, row: &SecretRow) -> Result<bool, StoreError> {
        Ok(self.sums_of(row)?[Child::Tag as usize].half() != Digest::default())
    }

    /// Takes note of what a secret that was read says.
    pub(in crate::store) fn note(&mut self, row: &SecretRow) -> Result<(), StoreError> {
        let sums = self.sums_of(row)?;
        self.contents.insert(row.id, sums);
        Ok(())
    }

    /// The same; gives the secret back.
    pub(in crate::store) fn noted(&mut self, row: SecretRow) -> Result<SecretRow, StoreError> {
        self.note(&row)?;
        Ok(row)
    }

    /// Compares what was found of a kind with what the secret says that belongs to it, and this write has changed.
    ///
    /// # Errors
    /// `Corrupt`, which names the secret.
    pub(in crate::store) fn belongs(&mut self, secret: &SecretId, child: Child, found: Digest) -> Result<(), StoreError> {
        if !self.contents.contains_key(secret) {
            self.in_snapshot()?;
            if self.secret_by_id(secret)?.is_none() && found.half() == Digest::default() {
                return Ok(());
            }
        }
        let said = self.contents.get(secret).map_or_else(Digest::default, |sums| sums[child as usize]);
        let pending = self.changes.children.get(secret).map_or_else(Digest::default, |sums| sums[child as usize]);
        if said.plus(pending).half() == found.half() {
            return Ok(());
        }
        let kind = match child {
            Child::Label => "labels",
            Child::Version => "versions",
            Child::Tag => "tags",
            Child::Rotation => "what is said of the rotation",
        };
        let named = secrets::table.filter(secrets::id.eq(secret)).select((secrets::account_id, secrets::name));
        let named: Option<(AccountId, SecretName)> =
            self.run(SecretRow::TABLE, per_backend!(|conn| named.get_result(conn).optional()))?;
        let name =
            named.map_or_else(|| format!("with the id {secret}"), |(account, name)| format!("{name} of account {account}"));
        Err(self.corrupt(
            SecretRow::TABLE,
            format!("{kind} of secret {name} changed behind the service: rows were deleted, or put back as they were earlier"),
        ))
    }

    /// Loads all rows of a kind that belong to a secret.
    pub(in crate::store) fn children<R: Sealed>(
        &mut self,
        secret: &SecretId,
        child: Child,
        query: impl FnOnce(&mut Conn) -> QueryResult<Vec<(R, Vec<u8>)>>,
    ) -> Result<Vec<R>, StoreError> {
        let (rows, sum) = self.counted(secret, child, query)?;
        self.belongs(secret, child, sum)?;
        Ok(rows)
    }

    /// Loads rows of a kind that belong to a secret, with their sum.
    pub(in crate::store) fn counted<R: Sealed>(
        &mut self,
        secret: &SecretId,
        child: Child,
        query: impl FnOnce(&mut Conn) -> QueryResult<Vec<(R, Vec<u8>)>>,
    ) -> Result<(Vec<R>, Digest), StoreError> {
        let found = self.run(R::TABLE, query)?;
        let sum = found.iter().fold(Digest::default(), |sum, (row, mac)| sum.plus(self.child_element(row, mac)));
        let asked = |row: &R| row.counted() == Counted::Child(*secret, child);
        let rows: Result<Vec<R>, _> = found.into_iter().map(|row| self.verified_alone(row, asked)).collect();
        Ok((rows?, sum))
    }

    /// What a secret's content counts for a row.
    pub(in crate::store) fn child_element<R: Sealed>(&self, row: &R, mac: &[u8]) -> Digest {
        self.seals().element(R::TABLE, row.bound(), mac)
    }

    /// Says beforehand that a secret which is about to be inserted will have this version and label.
    pub(in crate::store) fn content_ahead(&mut self, row: &SecretRow, version: &VersionRow, label: &StageRow) -> SecretRow {
        let mut sums = Sums::default();
        sums[Child::Label as usize] = self.child_element(label, &self.mac(label));
        sums[Child::Version as usize] = self.version_element(version);
        let ahead = self.changes.children.entry(row.id).or_default();
        for (ahead, sum) in ahead.iter_mut().zip(&sums) {
            *ahead = ahead.minus(*sum);
        }
        self.contents.insert(row.id, sums);
        SecretRow { content: self.content(&row.id, &sums), ..row.clone() }
    }

    /// Brings the rows of secrets up to what this write has changed: those that it changed itself, and those of which it changed what
    /// belongs to them.
    pub(in crate::store) fn contents_end(&mut self) -> Result<(), StoreError> {
        self.secrets_flush()?;
        let children = std::mem::take(&mut self.changes.children);
        for (id, by) in children {
            if is_nothing(&by) {
                continue;
            }
            let Some(old) = self.secret_by_id(&id)? else {
                return Err(StoreError::Fault(format!("something of secret {id}, which is not there, has changed")));
            };
            self.changes.children.insert(id, by);
            self.secret_put(&old, &old)?;
        }
        Ok(())
    }

    /// Keeps a change of a secret back, until the end or the next look at secrets.
    pub(in crate::store) fn keep_back(&mut self, old: &SecretRow, new: &SecretRow) {
        let kept = self.kept_back.iter_mut().filter_map(|kept| kept.downcast_mut::<Kept>()).find(|kept| kept.old.id == old.id);
        match kept {
            Some(kept) => kept.new = new.clone(),
            None => self.kept_back.push(Box::new(Kept { old: old.clone(), new: new.clone() })),
        }
    }

    /// Writes the changes of secrets that were kept back.
    pub(in crate::store) fn secrets_flush(&mut self) -> Result<(), StoreError> {
        for kept in std::mem::take(&mut self.kept_back) {
            if let Ok(Kept { old, new }) = kept.downcast::<Kept>().map(|kept| *kept) {
                self.secret_put(&old, &new)?;
            }
        }
        Ok(())
    }

    fn secret_put(&mut self, old: &SecretRow, new: &SecretRow) -> Result<(), StoreError> {
        let mut sums = self.sums_of(old)?;
        let by = self.changes.children.remove(&old.id).unwrap_or_default();
        for (sum, by) in sums.iter_mut().zip(by) {
            *sum = sum.plus(by);
        }
        let content = if is_nothing(&by) { old.content.clone() } else { self.content(&old.id, &sums) };
        let new = SecretRow { content, ..new.clone() };
        self.contents.insert(old.id, sums);
        let there = || secrets::account_id.eq(old.account_id.clone()).and(secrets::name.eq(old.name.clone()));
        expect_changed(exchange!(self, secrets, old => &new, there())?, SecretRow::TABLE)
    }
}
