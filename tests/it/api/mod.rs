//! What each operation answers, from the caller's side.

pub mod access_points;
pub mod ciphertext_blobs;
pub mod clients;
pub mod golden;
pub mod import;
pub mod key_pairs;
pub mod keys;
pub mod listing;
pub mod policies;
pub mod tags;
pub mod vault_answers;
pub mod vault_effects;
pub mod vault_rights;
pub mod versions;
mod watch;
