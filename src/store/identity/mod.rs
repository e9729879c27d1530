//! Rows of who may ask: accounts, users, access keys, policies, access points and their client keys.

pub mod access_keys;
pub mod access_points;
pub mod access_policies;
pub mod accounts;
pub mod bearer_tokens;
pub mod client_keys;
pub mod network_rules;
pub mod policies;
pub mod users;
