//! The only place that builds things: Config → token, store, audit, keys, secrets, service, server.
//!
//! Owns: the order of starting and stopping, and the checks at start. Called by: main (serve, check), admin (what commands need).
//!
//! | file | answers |
//! |---|---|
//! | `base.rs`, `node.rs` | what the server and the commands both stand on; which node this is |
//! | `anchors.rs`, `anchor_watch.rs`, `token_key.rs` | whether database or audit log were put back to an earlier state |
//! | `marks.rs` | whether the marks of this node's writes are still there, and its logs tell of them |
//! | `system_keys.rs`, `steps.rs` | whether SYS, INT, AUD and ROW are what they must be; which of what they may be they are |
//! | `spare_key.rs` | the end of a ROW that is not in use |
//! | `checks/`, `start_retry.rs` | what a start looks at, and `bulla check`; which failures a start waits for |
//! | `server.rs` | what is built in which order, run and stopped |
//! | `settings.rs`, `figures.rs`, `front.rs` | settings for the parts; their figures for metrics; the service for HTTP |
//! | `unfinished.rs`, `unresolved.rs` | what was under way when the server died; when the database was lost |
//! | `vitals.rs`, `clock_watch.rs` | whether the service can serve now; whether its clock is right |
//! | `reload.rs`, `supervised.rs` | what SIGHUP has read again; what systemd hears |
//! | `host_figures.rs` | figures of the host |
//! | `token.rs`, `unlock.rs` | the token with its PIN; the socket on which a server is given one |

mod anchor_watch;
mod anchors;
mod base;
mod checks;
pub(crate) mod clock_watch;
mod figures;
mod freshness;
mod front;
mod host_figures;
mod marks;
mod node;
mod reload;
mod server;
mod settings;
pub(crate) mod spare_key;
mod start_retry;
mod steps;
mod supervised;
mod system_keys;
mod token;
pub(crate) mod token_key;
mod unfinished;
pub(crate) mod unlock;
mod unresolved;
mod vitals;

pub use crate::base::failure::{Failure, context};
pub use anchors::place_of;
pub use base::{Base, OpenLog, open_token};
pub use checks::{Compared, Finding, MAKING_KEYS, Verdict, check, database_url};
pub use node::known_node;
pub use server::Server;
pub use steps::{Steps, names_of};
pub use system_keys::{line_key, prove_system_keys, row_key, system_keys};
