//! Where the database stands: what anchors outside of it remember, so that one that was put back as a whole is told from one that went on.
//!
//! Owns: the head, and that what this node has seen only rises. Must not know: who remembers heads (the audit log, other nodes). Called by:
//! app, admin.

use crate::store::engine::digest::WHOLE;
use crate::store::engine::known::PartState;
use crate::store::engine::row_mac::{RowMac, Sealed};
use crate::store::ledger::digests::PartRow;
use crate::store::{Store, StoreError, Tx};

/// Where a database stands. Every number in it only rises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Changes of who may do what.
    pub rights: i64,
    /// Changes of each part of the secrets.
    pub parts: Vec<i64>,
    /// What of two databases with the same numbers tells which it is: a keyed hash over their digests.
    pub digest: [u8; WHOLE],
}

impl Head {
    /// How many changes there have been in all.
    pub fn generation(&self) -> i64 {
        self.parts.iter().fold(self.rights, |sum, part| sum.saturating_add(*part))
    }

    /// Whether a database that stands here may have stood at `earlier` before: no number has fallen, and the same numbers mean the same
    /// database.
    pub fn follows(&self, earlier: &Head) -> bool {
        let risen = self.rights >= earlier.rights
            && self.parts.len() == earlier.parts.len()
            && self.parts.iter().zip(&earlier.parts).all(|(now, then)| now >= then);
        let same = self.rights == earlier.rights && self.parts == earlier.parts;
        risen && (!same || self.digest == earlier.digest)
    }
}

impl Store {
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
        let mut parts = vec![0; 256];
        let mut bound: Vec<u8> = root.as_ref().map_or(RowMac::default(), |root| root.mac).to_vec();
        let mut states = Vec::with_capacity(rows.len());
        for found in rows {
            bound.extend([&found.row.part.to_be_bytes()[..], &found.mac].concat());
            // Verified: below 256.
            let part = found.row.part as u8;
            parts[usize::from(part)] = found.row.seq;
            states.push((part, PartState { seq: found.row.seq, sum: found.sum, mac: found.mac }));
        }
        let digest = self.seals().element("head", &[], &bound).bytes();
        Ok((Head { rights: root.map_or(0, |root| root.row.seq), parts, digest }, states))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_follows_where_nothing_has_fallen() {
        let head = |rights, first, digest| Head { rights, parts: vec![first, 5], digest: [digest; WHOLE] };
        let earlier = head(3, 4, 1);
        for (now, follows) in [
            (head(3, 4, 1), true),
            (head(3, 4, 2), false),
            (head(4, 4, 2), true),
            (head(3, 5, 2), true),
            (head(2, 9, 2), false),
            (head(9, 3, 2), false),
        ] {
            assert_eq!(now.follows(&earlier), follows, "{now:?}");
        }
        assert_eq!(earlier.generation(), 12);
    }
}
