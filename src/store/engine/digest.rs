//! Digests of sets of rows: the sum of a keyed hash of each row (MSet-Add-Hash of Clarke, Devadas, van Dijk, Gassend and Suh, 2003).
//!
//! Owns: the arithmetic. Must not know: rows, keys. Called by: row_mac, tx, the ledger.
//!
//! Rows come and go by addition and subtraction, in whatever order. Nobody outside ever sees the hash of a row, nor a sum in clear: so
//! there is nothing from which another set with the same sum could be searched for (docs/adr/0020-set-digests.md).

/// Bytes of a MAC: HMAC-SHA-256, truncated (RFC 2104 section 5).
pub(in crate::store) const MAC_LEN: usize = 16;

/// The column `mac` of a row: its layout and its MAC. What a digest counts is made of it.
pub type RowMac = [u8; 1 + MAC_LEN];

/// Bytes of a sum where it is kept whole.
pub(in crate::store) const WHOLE: usize = 32;

/// Bytes of a sum where its half is kept.
pub(in crate::store) const HALF: usize = 16;

/// A sum modulo 2^256; little-endian words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct Digest([u64; 4]);

impl Digest {
    /// From its 32 bytes.
    pub(in crate::store) fn of(bytes: &[u8; WHOLE]) -> Self {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*chunk);
        }
        Self(words)
    }

    /// Its 32 bytes.
    pub(in crate::store) fn bytes(self) -> [u8; WHOLE] {
        let mut bytes = [0; WHOLE];
        for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.0) {
            *chunk = word.to_le_bytes();
        }
        bytes
    }

    /// The same modulo 2^128, which sums keep.
    pub(in crate::store) fn half(self) -> Self {
        Self([self.0[0], self.0[1], 0, 0])
    }

    /// The sum of both.
    pub(in crate::store) fn plus(self, other: Self) -> Self {
        let (mut sum, mut carry) = ([0; 4], false);
        for ((sum, a), b) in sum.iter_mut().zip(self.0).zip(other.0) {
            let (low, first) = a.overflowing_add(b);
            let (low, second) = low.overflowing_add(carry.into());
            (*sum, carry) = (low, first || second);
        }
        Self(sum)
    }

    /// What, with `other`, makes this.
    pub(in crate::store) fn minus(self, other: Self) -> Self {
        let negated = Self(other.0.map(|word| !word)).plus(Self([1, 0, 0, 0]));
        self.plus(negated)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A group: what was added and taken away again leaves nothing, in whatever order.
        #[test]
        fn sums_come_back(a in any::<[u8; 32]>(), b in any::<[u8; 32]>()) {
            let (a, b) = (Digest::of(&a), Digest::of(&b));
            prop_assert_eq!(a.plus(b), b.plus(a));
            prop_assert_eq!(a.plus(b).minus(a), b);
            prop_assert_eq!(a.minus(a), Digest::default());
            prop_assert_eq!(Digest::of(&a.bytes()), a);
            prop_assert_eq!(a.plus(b).half(), a.half().plus(b.half()).half());
            prop_assert_eq!(a.minus(b).half(), a.half().minus(b.half()).half());
        }
    }
}
