//! The digest of a part of the secrets: a sum, and what names the one that does not fit.
//!
//! Owns: the arithmetic. Must not know: rows. Called by: tx, the ledger.
//!
//! The sum tells whether a part fits. Where it does not, four cells help to say which secret it is: each counts the secrets whose ids lead
//! to it, with three sums modulo 2^128: of ids, of tags (halves of elements), and of id × tag. One secret that is gone leaves its id in
//! the first, one that came or was put back is found among those that are there by its product. More than one in a cell are not told
//! apart; then none of the part is believed.

use crate::base::ids::SecretId;
use crate::store::engine::digest::{Digest, WHOLE};

/// Cells of a part.
const CELLS: usize = 4;

/// Bytes of a cell.
const CELL: usize = 48;

/// Bytes of all.
pub(in crate::store) const LENGTH: usize = WHOLE + CELLS * CELL;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Cell {
    ids: u128,
    tags: u128,
    products: u128,
}

/// The digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct PartSum {
    whole: Digest,
    cells: [Cell; CELLS],
}

/// What differs between a digest and the secrets that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Difference {
    /// This secret is gone.
    Gone(SecretId),
    /// This one is there and should not be, or is there as it was earlier.
    Strange(SecretId),
    /// More than can be told apart.
    Many,
}

fn number(id: &SecretId) -> u128 {
    u128::from_le_bytes(*id.as_bytes())
}

fn cell_of(id: &SecretId) -> usize {
    // Not the first byte, which is the same in all of a part. Ids are random.
    usize::from(id.as_bytes()[15]) % CELLS
}

impl PartSum {
    /// That of one secret.
    pub(in crate::store) fn of(id: &SecretId, element: Digest) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&element.bytes()[16..]);
        let (id_number, tag) = (number(id), u128::from_le_bytes(half));
        let mut sum = Self { whole: element, ..Self::default() };
        sum.cells[cell_of(id)] = Cell { ids: id_number, tags: tag, products: id_number.wrapping_mul(tag) };
        sum
    }

    /// From its bytes.
    pub(in crate::store) fn from_bytes(bytes: &[u8; LENGTH]) -> Self {
        let mut whole = [0; WHOLE];
        whole.copy_from_slice(&bytes[..WHOLE]);
        let mut sum = Self { whole: Digest::of(&whole), ..Self::default() };
        for (cell, bytes) in sum.cells.iter_mut().zip(bytes[WHOLE..].chunks_exact(CELL)) {
            let mut numbers = bytes.as_chunks::<16>().0.iter().map(|half| u128::from_le_bytes(*half));
            let mut next = || numbers.next().unwrap_or_default();
            *cell = Cell { ids: next(), tags: next(), products: next() };
        }
        sum
    }

    /// Its bytes.
    pub(in crate::store) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.whole.bytes().to_vec();
        for Cell { ids, tags, products } in &self.cells {
            bytes.extend([ids.to_le_bytes(), tags.to_le_bytes(), products.to_le_bytes()].concat());
        }
        bytes
    }

    /// Both together.
    pub(in crate::store) fn plus(self, other: Self) -> Self {
        self.with(other, u128::wrapping_add, Digest::plus)
    }

    /// This without the other.
    pub(in crate::store) fn minus(self, other: Self) -> Self {
        self.with(other, u128::wrapping_sub, Digest::minus)
    }

    fn with(self, other: Self, of: fn(u128, u128) -> u128, of_whole: fn(Digest, Digest) -> Digest) -> Self {
        let mut sum = Self { whole: of_whole(self.whole, other.whole), ..self };
        for (cell, other) in sum.cells.iter_mut().zip(other.cells) {
            cell.ids = of(cell.ids, other.ids);
            cell.tags = of(cell.tags, other.tags);
            cell.products = of(cell.products, other.products);
        }
        sum
    }

    /// What makes the difference between this, which is stored, and the sum of the secrets that were found.
    pub(in crate::store) fn differences(self, found: Self, there: &[SecretId]) -> Vec<Difference> {
        let left = self.minus(found);
        let mut differences = Vec::new();
        for (n, cell) in left.cells.iter().enumerate() {
            if *cell == Cell::default() {
                continue;
            }
            let fits = |id: &SecretId| cell_of(id) == n && number(id).wrapping_mul(cell.tags) == cell.products;
            let gone = SecretId::from_bytes(cell.ids.to_le_bytes());
            let gone_is_there = there.contains(&gone);
            differences.push(match there.iter().find(|id| fits(id)) {
                Some(id) => Difference::Strange(*id),
                None if !gone_is_there && fits(&gone) => Difference::Gone(gone),
                None => Difference::Many,
            });
        }
        if differences.is_empty() && left.whole != Digest::default() {
            differences.push(Difference::Many);
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(n: u8) -> SecretId {
        let mut bytes = [n.wrapping_mul(37) ^ 0x5a; 16];
        (bytes[0], bytes[15]) = (7, n);
        SecretId::from_bytes(bytes)
    }

    fn element(n: u64) -> Digest {
        let mut bytes = [0; WHOLE];
        for (k, chunk) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *chunk = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(13 * k as u32).to_le_bytes();
        }
        Digest::of(&bytes)
    }

    #[test]
    fn one_in_a_cell_is_named() {
        let of = |n: u8, state: u64| PartSum::of(&secret(n), element(u64::from(n) + 1000 * state));
        let all: Vec<SecretId> = (0..20).map(secret).collect();
        let stored = (0..20).fold(PartSum::default(), |sum, n| sum.plus(of(n, 0)));
        assert_eq!(stored.differences(stored, &all), []);
        let gone = stored.minus(of(6, 0));
        let rest: Vec<_> = all.iter().copied().filter(|id| *id != secret(6)).collect();
        assert_eq!(stored.differences(gone, &rest), [Difference::Gone(secret(6))]);
        let with: Vec<_> = all.iter().copied().chain([secret(21)]).collect();
        assert_eq!(stored.differences(stored.plus(of(21, 0)), &with), [Difference::Strange(secret(21))]);
        let put_back = stored.minus(of(4, 0)).plus(of(4, 1));
        assert_eq!(stored.differences(put_back, &all), [Difference::Strange(secret(4))]);
        // In two cells at once, and twice in one.
        let both = put_back.minus(of(6, 0));
        assert_eq!(stored.differences(both, &rest), [Difference::Strange(secret(4)), Difference::Gone(secret(6))]);
        let twice = stored.minus(of(4, 0)).minus(of(8, 0));
        let rest: Vec<_> = all.iter().copied().filter(|id| ![secret(4), secret(8)].contains(id)).collect();
        assert_eq!(stored.differences(twice, &rest), [Difference::Many]);
    }

    proptest! {
        #[test]
        fn sums_come_back(n in any::<u8>(), m in any::<u8>(), a in any::<u64>(), b in any::<u64>()) {
            let (a, b) = (PartSum::of(&secret(n), element(a)), PartSum::of(&secret(m), element(b)));
            prop_assert_eq!(a.plus(b).minus(a), b);
            prop_assert_eq!(PartSum::from_bytes(a.plus(b).bytes().as_slice().try_into().expect("its length")), b.plus(a));
        }
    }
}
