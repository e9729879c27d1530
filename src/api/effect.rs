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
}
