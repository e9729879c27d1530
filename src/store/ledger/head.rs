//! Where the database stands: what anchors outside of it remember, so that one that was put back as a whole is told from one that went on.
//!
//! Owns: the head, and that what this node has seen only rises. Must not know: who remembers heads (the rows of logs). Called by: app,
//! jobs.

use crate::store::engine::digest::WHOLE;
use crate::store::engine::disbelief::EXEMPT;
use crate::store::engine::known::PartState;
use crate::store::engine::row_mac::{RowMac, Sealed};
use crate::store::ledger::digests::PartRow;
use crate::store::{Store, StoreError, Tx};

/// Where a database stands. Every number in it only rises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Changes of who may do what.
    pub rights: i64,
    /// Changes of the secrets, of all parts together.
    pub changes: i64,
    /// What of two databases with the same numbers tells which it is: a keyed hash over their digests; [`NOT_KNOWN`] where only the
    /// numbers are known.
    pub digest: [u8; WHOLE],
}

/// The digest of a head of which only the numbers are known: no keyed hash is this.
pub const NOT_KNOWN: [u8; WHOLE] = [0; WHOLE];

impl Head {
    /// Why a database that stands here did not go on from `earlier`, if it did not: a number has fallen, or the same numbers are another
    /// database's.
    pub fn contradicts(&self, earlier: &Head) -> Option<String> {
        let fallen = |what: &str, now: i64, then: i64| {
            (now < then).then(|| format!("it knows {now} changes of {what}, and knew {then}"))
        };
        let rights = fallen("who may do what", self.rights, earlier.rights);
        let risen = rights.or_else(|| fallen("secrets", self.changes, earlier.changes));
        let same = (self.rights, self.changes) == (earlier.rights, earlier.changes);
        let another = same && earlier.digest != NOT_KNOWN && self.digest != earlier.digest;
        risen.or_else(|| {
            another.then(|| format!("after {} changes it is another one", self.rights.saturating_add(self.changes)))
        })
    }

    /// The later of two heads: the least that a database has come to of which both were once true.
    pub fn or_later(&self, other: &Head) -> Head {
        match self.contradicts(other) {
            None => self.clone(),
            Some(_) if other.contradicts(self).is_none() => other.clone(),
            Some(_) => {
                Head { rights: self.rights.max(other.rights), changes: self.changes.max(other.changes), digest: NOT_KNOWN }
            }
        }
    }
}

impl Store {
    /// Where the database says that it stands, whatever this node knows of it, and also while it is not believed.
    ///
    /// # Errors
    /// `Corrupt` when the row that counts the changes of who may do what does not verify, or was put back under this node.
    pub fn head_told(&self) -> Result<Head, StoreError> {
        Ok(self.read_rows(EXEMPT, |tx| tx.head())?.0)
    }

    /// The least that the database has come to, as far as this node knows: what it has seen and written, whatever the database says now.
    pub fn head_known(&self) -> Head {
        let known = self.seals.known();
        let changes = (0..=u8::MAX).filter_map(|part| known.part(part)).fold(0_i64, |sum, part| sum.saturating_add(part.seq));
        Head { rights: known.floor(), changes, digest: NOT_KNOWN }
    }

    /// Where the database stands now; two small queries in one snapshot.
    ///
    /// # Errors
    /// `Corrupt` when a digest does not verify, or a number is less than this node has seen: then the database, or a part of it, was put back.
    pub fn head(&self) -> Result<Head, StoreError> {
        let known: Vec<Option<PartState>> = (0..=u8::MAX).map(|part| self.seals.known().part(part)).collect();
        let (head, found) = self.read_rows("head", |tx| tx.head())?;
        let mut fallen = Vec::new();
        for (part, known) in (0..=u8::MAX).zip(known) {
            let now = found.iter().find(|(found, _)| *found == part).map(|(_, state)| *state);
            if known.is_some_and(|known| !is_after(now.as_ref(), &known)) {
                fallen.push(part);
            }
            now.into_iter().for_each(|state| self.seals.known().saw_part(part, state));
        }
        self.seals.known().set_put_back(&fallen);
        if fallen.is_empty() {
            return Ok(head);
        }
        let parts: Vec<String> = fallen.iter().map(|part| format!("{part:02x}")).collect();
        let detail = format!("secrets whose ids begin with {} were put back as they were earlier", parts.join(", "));
        Err(StoreError::Corrupt { table: PartRow::TABLE, detail })
    }
}

/// Whether a part that was in one state may be in another now.
pub(in crate::store) fn is_after(now: Option<&PartState>, known: &PartState) -> bool {
    now.is_some_and(|now| now.seq > known.seq || (now.seq == known.seq && now.mac == known.mac))
}

impl Tx<'_> {
    fn head(&mut self) -> Result<(Head, Vec<(u8, PartState)>), StoreError> {
        let root = self.root()?;
        let rows = self.part_rows()?;
        let mut changes = 0_i64;
        let mut bound: Vec<u8> = root.as_ref().map_or(RowMac::default(), |root| root.mac).to_vec();
        let mut states = Vec::with_capacity(rows.len());
        for found in rows {
            bound.extend([&found.row.part.to_be_bytes()[..], &found.mac].concat());
            // Verified: below 256.
            let part = found.row.part as u8;
            changes = changes.saturating_add(found.row.seq);
            states.push((part, PartState { seq: found.row.seq, sum: found.sum, mac: found.mac }));
        }
        let digest = self.seals().element("head", &[], &bound).bytes();
        Ok((Head { rights: root.map_or(0, |root| root.row.seq), changes, digest }, states))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_goes_on_where_nothing_has_fallen() {
        let head = |rights, changes, digest| Head { rights, changes, digest: [digest; WHOLE] };
        let earlier = head(3, 9, 1);
        for (now, contradiction) in [
            (head(3, 9, 1), None),
            (head(4, 9, 2), None),
            (head(3, 10, 2), None),
            (head(3, 9, 2), Some("after 12 changes it is another one")),
            (head(2, 99, 2), Some("it knows 2 changes of who may do what, and knew 3")),
            (head(9, 8, 2), Some("it knows 8 changes of secrets, and knew 9")),
        ] {
            assert_eq!(now.contradicts(&earlier).as_deref(), contradiction, "{now:?}");
        }
        let known = Head { digest: NOT_KNOWN, ..earlier };
        assert_eq!(head(3, 9, 2).contradicts(&known), None, "which it is was not known");
        assert!(head(2, 9, 2).contradicts(&known).is_some(), "the numbers were");
    }

    #[test]
    fn of_two_heads_the_later_one_counts() {
        let head = |rights, changes, digest| Head { rights, changes, digest: [digest; WHOLE] };
        let (earlier, later, known) = (head(3, 9, 1), head(4, 9, 2), head(4, 2, 0));
        assert_eq!(earlier.or_later(&later), later);
        assert_eq!(later.or_later(&earlier), later);
        assert_eq!(known.or_later(&earlier), head(4, 9, 0), "of each number the later");
    }
}
