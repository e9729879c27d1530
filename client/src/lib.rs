//! A client of Bulla, and of every service that speaks the API of Alibaba Cloud KMS / Secrets Manager (version 2016-01-20).
//!
//! | module | answers |
//! |---|---|
//! | [`sign`] | what is signed, and how, in both schemes; pure |
//! | [`secret`] | the types that values and keys live in |
//! | [`error`] | what can go wrong, and what to do about it |
//! | [`client`] | one call: sign, send, try again |
//! | [`secrets`], [`keys`], [`service`] | the operations, typed |
//! | [`vault`] | secrets read from a server of Vault's API, for who moves |
//! | [`cache`] | values kept for a while, read again before they are old, served while the server is away |
//!
//! Every attempt is signed anew, with a nonce of its own. Answers 429 and 503 and lost connections are tried again after the server's
//! `Retry-After`, where doing the operation twice does no harm; the few where it would (they make keys) say that the outcome is unknown.
//!
//! The code shares nothing with the server's verification: published examples of both signatures hold the two together, and the tests of
//! the server send their requests with this crate's signatures.
//!
//! ```no_run
//! use bulla_client::{AccessKey, Client, Selector};
//!
//! # fn main() -> Result<(), bulla_client::Error> {
//! let client = Client::builder("https://kms.example:8443")
//!     .access_key(AccessKey::new("BLLA…", "secret"))
//!     .ca_file("/etc/bulla/ca.crt")
//!     .build()?;
//! let value = client.secret_value("app/db", &Selector::Current)?;
//! connect_with(value.data.expose());
//! # Ok(())
//! # }
//! # fn connect_with(_: &[u8]) {}
//! ```

mod abreast;
pub mod cache;
pub mod client;
pub mod error;
pub mod keys;
mod last_words;
mod list;
mod page;
pub mod secret;
pub mod secrets;
pub mod service;
pub mod sign;
#[cfg(test)]
mod testing;
mod transport;
pub mod vault;

pub use abreast::abreast;
pub use cache::Cache;
pub use client::{Builder, Client, Request};
pub use error::{Error, Refused};
pub use page::page;
pub use secret::{AccessKey, Value};
pub use secrets::{NewSecret, SecretValue, Selector};
pub use sign::Scheme;
pub use transport::host_of;
