//! Bulla: a secret store that speaks the API of Alibaba Cloud KMS / Secrets Manager (version 2016-01-20) and keeps its master
//! keys in a PKCS#11 token.
//!
//! The map, from the bottom up: a module uses only those above it, and just those that its row names. It stands here and nowhere
//! else; `tests/arrows.rs` reads it and holds it. docs/architecture.md walks through it.
//!
//! | module | uses | answers |
//! |---|---|---|
//! | base | | what an id, a word, a secret, a time, a list of fields is |
//! | logging | base | where the log's lines go |
//! | process | base, logging | core dumps, locked memory, open files, signals, systemd |
//! | output | base | what a command prints, for people and for programs |
//! | audit | base | what the log records |
//! | config | base, process, logging, audit | what can be set |
//! | metrics | | what is counted |
//! | envelope | base | how a value is sealed |
//! | token | base | what the hardware does |
//! | store | base | what the database holds; never a secret in the clear |
//! | logins | base | whom the proofs of others let in: JWTs of issuers, client certificates; nothing else asks issuers |
//! | servers | base | the database servers of others, whose accounts are rotated; nothing else connects to them |
//! | error | base, audit, token, store | what can go wrong |
//! | code | base, error | the outcome of anything as one word |
//! | effect | base, error, audit, store | whose effect a transaction is |
//! | auth | base, logins, error, token, store, effect | who calls and what they may |
//! | service_task | base, error, code, audit, effect | how what nobody asked for is recorded |
//! | tags | base, error, store | what may stand on keys and secrets |
//! | keys | base, error, envelope, token, store, effect, auth, service_task, tags | master keys |
//! | secrets | base, error, envelope, servers, store, effect, auth, service_task, tags, keys | secrets under them; never the token |
//! | jobs | base, error, store, keys, secrets | what happens without a request |
//! | api | base, error, code, audit, auth, store, tags, keys, secrets | the operations, and the pipeline that every request takes |
//! | http | base, error, metrics | sockets, TLS, limits, deadlines; no protocol |
//! | dialects | base, error, code, auth, http, api | the doors: each a protocol over the operations |
//! | app | base, error, logging, process, config, metrics, audit, token, logins, servers, store, effect, auth, service_task, keys, secrets, jobs, api, http, dialects | the only place that builds things |
//! | cli | base | the command line |
//! | remote | base, process, output, cli | the commands that ask a server, from any host |
//! | admin | base, output, error, logging, config, audit, token, store, effect, auth, keys, secrets, api, app, cli | the commands |
//! | main | base, process, logging, output, cli, admin, remote | |

// Modules are the crate's own unless a test or benchmark outside needs them; the documentation is built with private items.
#![allow(rustdoc::private_intra_doc_links)]

// The texts of locales/ (base/locale.rs); its macros look for them in the root of the crate.
rust_i18n::i18n!("locales");

#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
pub mod api;
#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod audit;
#[cfg(feature = "server")]
pub mod auth;
pub mod base;
pub mod cli;
#[cfg(feature = "server")]
pub(crate) mod code;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub(crate) mod dialects;
#[cfg(feature = "server")]
pub(crate) mod effect;
#[cfg(feature = "server")]
pub(crate) mod envelope;
#[cfg(feature = "server")]
pub(crate) mod error;
#[cfg(feature = "server")]
pub(crate) mod http;
#[cfg(feature = "server")]
pub(crate) mod jobs;
#[cfg(feature = "server")]
pub(crate) mod keys;
pub mod logging;
#[cfg(feature = "server")]
pub(crate) mod logins;
#[cfg(feature = "server")]
pub(crate) mod metrics;
pub mod output;
pub mod process;
pub mod remote;
#[cfg(feature = "server")]
pub mod secrets;
#[cfg(feature = "server")]
pub(crate) mod servers;
#[cfg(feature = "server")]
pub(crate) mod service_task;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub(crate) mod tags;
#[cfg(feature = "server")]
pub mod token;
