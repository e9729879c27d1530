//! What an operation does to the world.
//!
//! Owns: that word. Called by: every operation; recording; the dialects.

/// What an operation does to the world; decides how it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing: one audit line, with its result.
    Read,
    /// Changes something: an audit line before, durable, and one after.
    Write,
    /// The same, of what changes the database alone, by [`Store::commit`](crate::store::Store::commit): what comes before its transaction
    /// is done while the line before becomes durable.
    Commit,
}

impl Effect {
    /// Whether anything is different afterwards.
    pub fn changes(self) -> bool {
        !matches!(self, Effect::Read)
    }
}
