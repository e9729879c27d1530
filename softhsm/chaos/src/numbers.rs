//! The numbers that the application sees instead of the module's own, for slots, sessions and objects.
//!
//! Owns: the mapping. Must not know: what is numbered. Called by: `plug`.
//!
//! Numbers are drawn from a small range, at random, and anew after each replug or C_Initialize: a number kept from before is then
//! likely to be somebody else's, which is the worst that a real token does.

use std::collections::HashMap;

use crate::random;

/// One kind of numbers.
#[derive(Default)]
pub(crate) struct Numbering {
    shown_of: HashMap<u64, u64>,
    real_of: HashMap<u64, u64>,
}

impl Numbering {
    /// What the application sees; drawn at first sight.
    pub(crate) fn show(&mut self, real: u64) -> u64 {
        if let Some(shown) = self.shown_of.get(&real) {
            return *shown;
        }
        let range = self.real_of.len() as u64 * 2 + 4;
        let shown = loop {
            let drawn = 1 + random::below(range);
            if !self.real_of.contains_key(&drawn) {
                break drawn;
            }
        };
        self.shown_of.insert(real, shown);
        self.real_of.insert(shown, real);
        shown
    }

    /// The module's own number, if this one was shown since the last [`Numbering::clear`].
    pub(crate) fn real(&self, shown: u64) -> Option<u64> {
        self.real_of.get(&shown).copied()
    }

    /// Forgets one.
    pub(crate) fn remove(&mut self, shown: u64) {
        if let Some(real) = self.real_of.remove(&shown) {
            self.shown_of.remove(&real);
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.shown_of.clear();
        self.real_of.clear();
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.real_of.len()
    }
}
