//! Whether anything says that the database was put back to an earlier state: the one look that whoever opens a log, `check`, `verify`,
//! `backup` and `inventory` share.
//!
//! Owns: the order of what is asked. Must not know: what is done about an answer. Called by: app::base.
//!
//! Nothing is written, and a service may run beside it: what a log says is read before the database, which is then there at least.

use std::path::Path;
use std::sync::Arc;

use crate::app::anchors;
use crate::app::node::known_node;
use crate::app::start_retry::StartRetry;
use crate::app::system_keys;
use crate::app::token_key;
use crate::audit::{Audit, AuditConfig};
use crate::base::clock::Clock;
use crate::base::failure::{Failure, context};
use crate::store::{AnchorsRow, DeploymentRow, LogHeadRow, Store};
use crate::token::Token;

/// What to do about a database that is older than what knew it.
pub(super) const RESTORE: &str = "`bulla restore` shows what a database that was restored on purpose lacks, and accepts it";

/// The logs of a node.
pub(super) const LOGS: [&str; 2] = ["audit", "admin"];

/// Why the database is older than the token, its own rows or this host's logs know it to be, if it is. Its heads since the restoration and
/// its anchors were read before; `logs` are those of [`LOGS`] to ask.
///
/// # Errors
/// When token, database or logs cannot be read.
pub(super) fn contradiction(
    token: &Token,
    deployment: &DeploymentRow,
    store: &Arc<Store>,
    folder: &Path,
    retry: StartRetry,
    (heads, anchors): (&[LogHeadRow], &AnchorsRow),
    logs: &[&str],
) -> Result<Option<String>, Failure> {
    if token_key::is_gone(token, anchors).map_err(context("token"))? {
        let why = "the database is older than the key on the token that is made anew: it names one that is gone";
        return Ok(Some(why.to_owned()));
    }
    if let Some(why) = retry.until("database", || anchors::digests_older_than(store, heads))? {
        return Ok(Some(format!("rows of the database were put back to an earlier state: {why}")));
    }
    let Some(node) = retry.until("audit", || known_node(folder))? else { return Ok(None) };
    let key = system_keys::line_key(token, deployment, &node)?;
    for log in logs {
        let found = Audit::glance(&AuditConfig::new(folder, log), node, &key).map_err(context("audit"))?;
        let (_, older) = retry.until("database", || anchors::beside_log(store, &node, log, &found, Clock::System.now()))?;
        if older.is_some() {
            return Ok(older);
        }
    }
    Ok(None)
}
