//! The operations of the API and the pipeline that every request takes, whichever door it came through.
//!
//! Owns: what an operation is, and the table of them. Must not know: protocols, sockets, SQL, PKCS#11. Called by: the dialects, through
//! [`Service`].
//!
//! Adding an operation is one file beside the others and one line in [`table`].

pub(crate) mod access_points;
mod authorised;
pub(crate) mod cloud;
mod context;
pub(crate) mod crypto;
mod effect;
mod event;
pub(crate) mod fields;
mod interval;
mod json;
pub(crate) mod keys;
pub(crate) mod numbered_keys;
mod operation;
mod page;
mod pipeline;
pub(crate) mod policies;
mod rates;
mod recording;
pub(crate) mod secrets;
mod strangers;
pub mod table;
pub(crate) mod tags;
mod target;
pub(crate) mod tokens;
pub(crate) mod versions;

pub use context::{Context, Mode};
pub use effect::Effect;
pub use fields::plaintext;
pub use json::Json;
pub use operation::{Done, Input, Operation};
pub use pipeline::{Exchange, Outcome, Request, Service};
pub use rates::Limits;
pub use secrets::EntryError;
pub use target::{Resource, Target, UsedKey};
