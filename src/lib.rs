//! Bulla: a secret store that speaks the API of Alibaba Cloud KMS / Secrets Manager (version 2016-01-20) and keeps its master
//! keys in a PKCS#11 token.
//!
//! The map, from the bottom up; a module uses only modules above it in this list (a test holds that):
//!
//! | module | answers |
//! |---|---|
//! | [`ids`], [`secret`], [`clock`], [`canonical`] | what an id, a secret, a time, a list of fields is |
//! | [`error`] | what can go wrong, in the API's own words |
//! | [`envelope`], [`integrity`] | how a value is sealed, how a row is |
//! | [`auth`] | who calls, and what they may do |
//! | [`audit`] | what happened, provably |
pub mod audit;
pub mod auth;
pub mod canonical;
pub mod clock;
pub mod error;
pub mod ids;
pub mod integrity;
pub mod kinds;
pub mod secret;
pub mod wire;
