//! The root of row MACs that no row hangs on: destroyed on the token, then forgotten.
//!
//! Owns: that, recorded before and after, and that one process at a time does it. Must not know: how rows are written under another key.
//! Called by: app::server, at its start; `bulla rekey`.
//!
//! `bulla rekey` names the next root in the deployment's row before it makes it. The transaction that brings the rows under it names the one
//! before in its place. So whatever ended that command, the root that the row calls spare is not in use, and can go.

use std::time::{Duration, Instant};

use crate::app::base::Base;
use crate::app::checks::database_url;
use crate::audit::{Audit, Kind, Record, Verdict};
use crate::base::clock::{Clock, Moment};
use crate::base::failpoint::{Step, reach};
use crate::base::failure::{Failure, context};
use crate::base::ids::{KeyVersionId, NodeId};
use crate::config::Config;
use crate::effect::Effect;
use crate::store::{SetupLock, setup_lock};
use crate::token::{ObjectKind, TokenError};

/// How long one waits for another that is at it.
const ALONE_WITHIN: Duration = Duration::from_secs(30);

/// What the audit log calls it.
const DESTROY: &str = "DestroyRowKey";

/// Who has it done.
#[derive(Clone, Copy)]
pub struct By<'a> {
    /// The principal of the records.
    pub principal: &'a str,
    /// Why.
    pub reason: &'static str,
    /// The node whose log it is.
    pub node: NodeId,
}

/// Keeps every other process out that would change what the deployment's row names, on this host and others.
///
/// # Errors
/// `Conflict` where another is at it for too long.
pub fn alone(config: &Config) -> Result<SetupLock, Failure> {
    let held = setup_lock::take(&database_url(config)?, ALONE_WITHIN).map_err(context("database"))?;
    held.ok_or_else(|| {
        Failure::conflict("another process changes what this deployment is made of").hint("wait until it has ended")
    })
}

/// Destroys what is spare and forgets it, recorded before and after. Behind [`alone`].
///
/// # Errors
/// When audit log, token or database do not do it; the next one tries again.
pub fn destroy(base: &Base, audit: &Audit, by: By<'_>) -> Result<(), Failure> {
    let found = base.store.read_rows("spare_key", |tx| tx.deployment()).map_err(context("database"))?;
    let Some(id) = found.spare_row_key else { return Ok(()) };
    let effect = Effect::of_service(by.node, Moment::of(Clock::System.now()));
    let resource = format!("deployment/{} row-key/{id}", found.id);
    let record = Record {
        principal: Some(by.principal),
        resource: Some(&resource),
        decision: Some(Verdict::Allowed),
        by: Some(by.reason),
        ..Record::new(Kind::Admin, effect.request_id(), DESTROY)
    };
    audit.submit(&record).wait().map_err(context("audit"))?;
    let gone = off_the_token(base, &id).and_then(|()| {
        reach(Step::RekeyDestroyed);
        let forgotten = base.store.write_rows("spare_key", |tx| {
            effect.mark(tx)?;
            tx.deployment_spare(None)
        });
        forgotten.map_err(context("database"))
    });
    let code = if gone.is_ok() { "OK" } else { "Failed" };
    audit.submit(&Record { code: Some(code), ..record }).wait().map_err(context("audit"))?;
    gone
}

/// Destroys a root of row MACs, and nothing else, whatever a row says that it is.
fn off_the_token(base: &Base, id: &KeyVersionId) -> Result<(), Failure> {
    let subject = || format!("token: the row key that is not in use ({id})");
    match base.token.prove_system_key(id, ObjectKind::Row) {
        Ok(()) => base.token.destroy(id, Instant::now()).map_err(context(subject())),
        Err(TokenError::NoSuchKey(_)) => Ok(()),
        Err(TokenError::Unsupported(what)) => {
            log::warn!("{}: it is none ({what}), and is left as it is", subject());
            Ok(())
        }
        Err(error) => Err(context(subject())(error)),
    }
}

/// Finishes, at the start of a server, what a `bulla rekey` that was killed has left.
pub(super) fn finish(config: &Config, base: &Base, audit: &Audit, node: NodeId) -> Result<(), Failure> {
    if base.deployment.spare_row_key.is_none() {
        return Ok(());
    }
    let _alone = alone(config)?;
    // Who has the lock may have brought the rows under another key since this process derived its own: then it must not serve.
    base.store.read_rows("spare_key", |tx| tx.deployment()).map_err(context("database"))?;
    match destroy(base, audit, By { principal: "service", reason: "start", node }) {
        Ok(()) => log::warn!("token: a `bulla rekey` had not come to its end; the row key that is not in use is destroyed"),
        Err(failure) => log::error!("{failure}; the next start, or `bulla rekey`, tries again"),
    }
    Ok(())
}
