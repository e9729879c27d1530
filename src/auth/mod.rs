//! Who calls, and what they may do.
//!
//! Owns: policies and their evaluation. Must not know: HTTP, SQL, PKCS#11. Called by: api and keys.

pub mod policy;
