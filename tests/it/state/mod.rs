//! What changes over time and between nodes: states, models, races, windows.

pub mod bearer_tokens;
pub mod deletion_windows;
pub mod key_states;
pub mod label_races;
mod levels;
pub mod nodes;
pub mod rotation;
pub mod secrets_model;
pub mod two_doors;
