//! Proof of what the database holds, over all of it.

pub mod relations;
pub mod verify;
