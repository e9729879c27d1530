//! The digests of who may do what, as one state of the database has them.
//!
//! Owns: the table of them, and its sum. Must not know: SQL, rows. Called by: known, the ledger.
//!
//! There are as many as accounts, users and keys, and nodes take up every change of one. So the table is in pieces that states share:
//! a change copies one piece.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::store::engine::digest::Digest;

/// Pieces of the table.
const PIECES: usize = 256;

/// The digest of a scope, and the element that the root counts for its row.
type Entry = (Digest, Digest);

type Piece = Arc<HashMap<Vec<u8>, Entry>>;

/// The digests by the keys of their scopes.
#[derive(Clone)]
pub(in crate::store) struct ScopeDigests {
    pieces: Vec<Piece>,
    sum: Digest,
}

impl Default for ScopeDigests {
    fn default() -> Self {
        Self { pieces: vec![Piece::default(); PIECES], sum: Digest::default() }
    }
}

fn piece_of(scope: &[u8]) -> usize {
    let mut hasher = DefaultHasher::new();
    scope.hash(&mut hasher);
    hasher.finish() as usize % PIECES
}

impl ScopeDigests {
    /// That of a scope; zero where it has none.
    pub(in crate::store) fn of(&self, scope: &[u8]) -> Digest {
        self.pieces[piece_of(scope)].get(scope).map_or_else(Digest::default, |(digest, _)| *digest)
    }

    /// Takes one up, in the place of what the scope had.
    pub(in crate::store) fn put(&mut self, scope: Vec<u8>, digest: Digest, element: Digest) {
        let piece = Arc::make_mut(&mut self.pieces[piece_of(&scope)]);
        self.sum = self.sum.plus(element);
        if let Some((_, old)) = piece.insert(scope, (digest, element)) {
            self.sum = self.sum.minus(old);
        }
    }

    /// The sum of all elements.
    pub(in crate::store) fn sum(&self) -> Digest {
        self.sum
    }

    /// The keys of the scopes in one of the pieces, of which there are as many as parts.
    pub(in crate::store) fn piece(&self, number: u8) -> impl Iterator<Item = &[u8]> {
        self.pieces[usize::from(number)].keys().map(Vec::as_slice)
    }

    /// The keys of all scopes.
    pub(in crate::store) fn scopes(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().flat_map(|piece| piece.keys()).map(Vec::as_slice)
    }

    /// The keys of scopes of which one state has another digest than the other, or one has none; some of them twice.
    pub(in crate::store) fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a [u8]> {
        let pieces = self.pieces.iter().zip(&other.pieces).filter(|(a, b)| !Arc::ptr_eq(a, b));
        pieces.flat_map(|(a, b)| a.keys().chain(b.keys()).filter(|key| a.get(*key) != b.get(*key)).map(Vec::as_slice))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn digest(n: u8) -> Digest {
        Digest::of(&[n; 32])
    }

    proptest! {
        /// As a plain map would have it, and the state before is not touched.
        #[test]
        fn a_state_is_what_was_put(before in prop::collection::vec((any::<u8>(), any::<u8>()), 0..40),
                                   after in prop::collection::vec((any::<u8>(), any::<u8>()), 0..40)) {
            let put = |state: &mut ScopeDigests, model: &mut HashMap<u8, u8>, all: &[(u8, u8)]| {
                for (scope, n) in all {
                    state.put(vec![*scope], digest(*n), digest(n.wrapping_add(1)));
                    model.insert(*scope, *n);
                }
            };
            let (mut old, mut old_model) = (ScopeDigests::default(), HashMap::new());
            put(&mut old, &mut old_model, &before);
            let (mut new, mut new_model) = (old.clone(), old_model.clone());
            put(&mut new, &mut new_model, &after);
            for (state, model) in [(&old, &old_model), (&new, &new_model)] {
                let sum = model.values().fold(Digest::default(), |sum, n| sum.plus(digest(n.wrapping_add(1))));
                prop_assert_eq!(state.sum(), sum);
                prop_assert!((0..=255).all(|scope| state.of(&[scope]) == model.get(&scope).map_or_else(Digest::default, |n| digest(*n))));
                let scopes: BTreeSet<&[u8]> = state.scopes().collect();
                prop_assert_eq!(scopes.len(), model.len());
            }
            let differing: BTreeSet<u8> = old.differing(&new).map(|key| key[0]).collect();
            let expected = (0..=255).filter(|scope| old_model.get(scope) != new_model.get(scope)).collect();
            prop_assert_eq!(differing, expected);
        }
    }
}
