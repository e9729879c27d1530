//! See Cargo.toml.

pub use kryoptic_lib::*;
