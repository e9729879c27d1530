//! The token: master keys are made here, used here, and never leave.
//!
//! Owns: everything PKCS#11; the only user of cryptoki. Must not know: rows, states, policies, HTTP. Called by: keys (master keys),
//! auth (secrets of access keys), app and admin (opening, system keys, the audit log's signatures).
//!
//! | file | answers |
//! |---|---|
//! | `operations.rs` | what can be asked of the token, in our words: ids in, bytes out, never handles |
//! | `config.rs`, `pin.rs` | how to reach the token; how often a PIN is presented |
//! | `connection.rs` | how a call is run, judged and retried |
//! | `reconnect.rs` | how the token is opened, and opened again when it was lost |
//! | `epoch.rs` | what is valid between two reconnects: login, sessions, handles |
//! | `pool.rs`, `session.rs`, `module.rs` | sessions; the library and the slot |
//! | `templates.rs`, `readback.rs`, `concessions.rs`, `left_out.rs`, `told.rs` | every attribute: asked for, read back, left out where the token refuses it |
//! | `create.rs` | making, proving, destroying objects |
//! | `permission.rs` | whether the token lets its user make and destroy them |
//! | `import.rs`, `wrapping.rs` | material that comes from outside, and the pairs it is wrapped with |
//! | `material.rs` | what a master key is on the token, by its spec and usage |
//! | `suites/`, `signing.rs`, `asymmetric.rs`, `oaep.rs` | how bytes are encrypted, MACed, signed |
//! | `canary.rs` | which suite the token serves; whether a session still works |
//! | `errors.rs`, `status.rs` | what every return code means; what is counted |
//! | `softhsm.rs` | a throw-away SoftHSM token, for `bulla dev` and tests |

pub use self::canary::CanaryKey;
pub use self::config::{Selector, TokenConfig};
pub use self::errors::TokenError;
pub use self::import::{CheckValue, Incoming};
pub use self::left_out::LeftOut;
pub use self::material::Material;
pub use self::operations::{Token, Wrapped};
pub use self::pin::{Offer, Pins};
pub use self::status::{Latency, TokenStatus};
pub use self::templates::ObjectKind;

mod asymmetric;
mod canary;
mod concessions;
mod config;
mod connection;
mod create;
mod epoch;
mod errors;
mod import;
#[cfg(test)]
#[path = "../../softhsm/isolated.rs"]
pub(crate) mod isolated;
mod left_out;
mod material;
mod module;
mod oaep;
mod operations;
mod permission;
mod pin;
mod pool;
mod readback;
mod reason;
mod reconnect;
mod session;
mod signing;
pub mod softhsm;
mod status;
mod suites;
mod templates;
#[cfg(test)]
mod tests;
mod told;
mod wrapping;
