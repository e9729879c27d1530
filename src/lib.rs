//! Bulla: a secret store that speaks the API of Alibaba Cloud KMS / Secrets Manager (version 2016-01-20) and keeps its master
//! keys in a PKCS#11 token.
//!
//! The map, from the bottom up. A module uses only modules above it in this list; `tests/arrows.rs` holds that.
//!
//! | module | answers |
//! |---|---|
//! | [`base`] | what an id, a word, a secret, a time, a list of fields is |
//! | [`envelope`] | how a value is sealed |
//! | [`token`], [`store`], [`audit`] | what the hardware, the database and the log do; none knows another |
//! | [`servers`] | the database servers of others, whose accounts are rotated |
//! | [`error`] | what can go wrong, in the API's own words |
//! | [`wire`] | the protocol: parameters, signatures, encodings, faults; pure |
//! | [`auth`] | who calls and what they may |
//! | [`errand`] | how what nobody asked for is recorded |
//! | [`tags`] | what may stand on keys and secrets |
//! | [`keys`], [`secrets`] | master keys; secrets under them |
//! | [`api`] | the operations, and the pipeline that every request takes |
//! | [`jobs`], [`metrics`], [`http`] | what happens without a request; what is counted; the front |
//! | [`logging`], [`process`] | where the log's lines go; core dumps, locked memory, open files, signals |
//! | [`config`], [`app`] | what can be set; the only place that builds things |
//! | [`cli`], [`admin`] | the command line; the commands |
pub mod admin;
pub mod api;
pub mod app;
pub mod audit;
pub mod auth;
pub mod base;
pub mod cli;
pub mod config;
pub mod envelope;
pub mod errand;
pub mod error;
pub mod http;
pub mod jobs;
pub mod keys;
pub mod logging;
pub mod metrics;
pub mod process;
pub mod secrets;
pub mod servers;
pub mod store;
pub mod tags;
pub mod token;
pub mod wire;
