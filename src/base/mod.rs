//! What everything stands on: ids, words, secrets, times, and lists of fields as bytes.
//!
//! Owns: types that parse their own grammar. Must not know: anything else of this program. Called by: all.

pub mod alarm;
pub mod canonical;
#[cfg(feature = "server")]
pub mod certificate;
pub mod clock;
pub mod clock_check;
#[cfg(feature = "server")]
pub mod disk;
pub mod dotenv;
pub mod failpoint;
pub mod failure;
pub mod field;
pub mod hidden;
pub mod host;
pub mod ids;
pub mod listen;
pub mod locale;
#[cfg(feature = "server")]
pub mod periodic;
pub mod printable;
pub mod private_folder;
pub mod public_key;
pub mod raw_json;
pub mod regular;
pub mod secret;
pub mod signals;
pub mod socket;
pub mod text;
#[cfg(feature = "server")]
pub mod threads;
pub mod undo;
pub mod whole_file;
pub mod words;
