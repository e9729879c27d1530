//! The HTTP API of Vault and OpenBao, as far as docs/vault.md says: KV version 2, transit, tokens and logins.
//!
//! Owns: paths, JSON bodies and envelopes, the spelling of errors. Must not know: tokens of PKCS#11, databases, sockets.
//! Called by: app, which gives it calls of http; and nobody below.
//!
//! | file | answers |
//! |---|---|
//! | `door.rs`, `asked.rs` | what happens to a call, whichever path it has; the call on its way |
//! | `path.rs` | which mount and which secret a path names |
//! | `body.rs`, `json.rs` | what a body says; JSON that holds secrets |
//! | `reply.rs`, `fault.rs` | the envelope; errors in Vault's words |
//! | `kv.rs`, `kv_metadata.rs`, `transit.rs`, `tokens.rs`, `sys.rs`, `capabilities.rs` | the endpoints |

mod asked;
mod body;
mod capabilities;
mod door;
mod fault;
mod form;
mod json;
mod kv;
mod kv_metadata;
mod path;
mod reply;
mod sys;
mod tokens;
mod transit;

pub use door::Vault;

use std::sync::Arc;

/// Whether the token is away.
pub type IsSealed = Arc<dyn Fn() -> bool + Send + Sync>;

/// What can be set.
#[derive(Clone)]
pub struct Settings {
    /// The name of the KV mount.
    pub kv_mount: String,
    /// The name of the transit mount.
    pub transit_mount: String,
    /// Asked for health and seal status.
    pub sealed: IsSealed,
}
