//! Logins with proofs that are made here: what lets in, and everything beside it that must not.

mod certificates;
mod issuer;
mod keys;
mod tokens;
