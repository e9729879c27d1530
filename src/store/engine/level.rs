//! The level of a deployment: which form its sealed rows are written in, so that programs of two releases can share one database.
//!
//! Owns: the levels that this program serves. Must not know: SQL, rows. Called by: row_mac, migrate, deployment, nodes.
//!
//! A level is a number that rises with a change of what rows say. Rows are written at the level of the deployment and read at any that
//! is served, so a new program runs beside an old one at the old level; when every node serves the next one, a person raises it
//! (`bulla level --raise`). migrations/README.md says how a column is added.

use std::fmt;

/// The level of a deployment, of a migration, or of the layout of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(pub u8);

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The lowest level that this program serves.
const LOWEST: Level = Level(1);

/// The highest, at which a new deployment begins.
const HIGHEST: Level = Level(1);

/// The levels that a program serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// The lowest.
    pub lowest: Level,
    /// The highest.
    pub highest: Level,
}

impl Levels {
    /// What this program serves. In builds with debug assertions `BULLA_LEVELS=LOWEST-HIGHEST` says otherwise: with 1-2 the program is
    /// its own successor, which has one migration more (migrations/rehearsal).
    pub fn served() -> Self {
        #[cfg(debug_assertions)]
        if let Some((lowest, highest)) = std::env::var("BULLA_LEVELS").ok().as_deref().and_then(|text| text.split_once('-'))
            && let (Ok(lowest), Ok(highest)) = (lowest.parse(), highest.parse())
        {
            return Self { lowest: Level(lowest), highest: Level(highest) };
        }
        Self { lowest: LOWEST, highest: HIGHEST }
    }

    /// Whether it is among them.
    pub fn contains(self, level: Level) -> bool {
        (self.lowest..=self.highest).contains(&level)
    }

    /// All of them, the highest first.
    pub fn iter(self) -> impl Iterator<Item = Level> {
        (self.lowest.0..=self.highest.0).rev().map(Level)
    }

    /// Whether the program is told to be its own successor.
    #[cfg(debug_assertions)]
    pub(in crate::store) fn rehearses(self) -> bool {
        self.highest > HIGHEST
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lowest == self.highest {
            write!(f, "level {}", self.lowest)
        } else {
            write!(f, "levels {} to {}", self.lowest, self.highest)
        }
    }
}
