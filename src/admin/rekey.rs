//! `bulla rekey`: a new root of row MACs, and every row under it, so that whoever once saw the key of before forges nothing any more.
//!
//! The next root is named in the deployment's row, then made, then one transaction brings everything under it, then the one before is
//! destroyed. Whatever ends the command in between, either of the two is in use, whole, and the other is known to be spare.

use std::sync::Arc;

use crate::admin::{LOCK_WAIT_MS, same_user, unless_served, verify};
use crate::app::{Base, Failure, OpenLog, context, row_key, spare_key};
use crate::audit::{Kind, Record, Verdict};
use crate::base::clock::{Clock, Moment};
use crate::base::failpoint::{Step, reach};
use crate::base::ids::{KeyVersionId, NodeId};
use crate::config::Config;
use crate::effect::Effect;
use crate::output::progress::Progress;
use crate::output::{Output, Row};
use crate::store::{DeploymentRow, RekeyStage, Rights, StoreError, StoreOptions};
use crate::token::ObjectKind;

/// What the audit log calls it.
const REKEY: &str = "Rekey";

/// What ends.
const ENDS: &str =
    "all bearer tokens, whose hashes hang on the row key; and every backup of before, of which no row verifies any more";

/// What does not, and is left to people.
const STAYS: &str = "what was forged with the key of before, which nobody can tell: look through users, access keys, policies and client keys first";

/// What is told to whoever has not accepted yet, and to whoever has.
const NEXT: &str =
    "with --accept every row gets a MAC under a new key, and the key of before is destroyed; it needs the PIN, and is recorded";
const DONE: &str = "make a backup now (`bulla backup`), of the token too; then start the nodes";

/// Runs the command: shows what it is about, and does it if that was asked for.
pub fn run(config: &Config, accept: bool) -> Result<Output, Failure> {
    unless_served(config)?;
    same_user(&config.audit.directory)?;
    let _alone = if accept { Some(spare_key::alone(config)?) } else { None };
    let base = Base::open(config)?;
    base.require_freshness(config)?;
    if let Some(node) = base.other_nodes(config)?.first() {
        let failure = Failure::conflict(format!("node {node} runs, or was killed a moment ago"));
        return Err(failure.hint("stop every node first; one that was killed counts as gone after five minutes"));
    }
    let options = verify::options(config)?;
    let rights = base.store.read_rows("rekey", |tx| tx.rights_counted()).map_err(context("database"))?;
    let rows = if accept { changed(config, base, &options)? } else { verified(&base, &options)? };
    Ok(Output::One(shown(accept, rows, &rights)))
}

fn shown(accepted: bool, rows: u64, rights: &Rights) -> Row {
    Output::row([
        ("Accepted", accepted.into()),
        ("Rows", rows.into()),
        ("Users", rights.users.into()),
        ("AccessKeys", rights.access_keys.into()),
        ("Policies", rights.policies.into()),
        ("PoliciesOfUsers", rights.attachments.into()),
        ("PoliciesOfResources", rights.resource_policies.into()),
        ("ClientKeys", rights.client_keys.into()),
        ("BearerTokens", rights.bearer_tokens.into()),
        ("Ends", ENDS.into()),
        ("Stays", STAYS.into()),
        ("Next", if accepted { DONE } else { NEXT }.into()),
    ])
}

/// Proves all rows; how many they are.
fn verified(base: &Base, options: &StoreOptions) -> Result<u64, Failure> {
    let proof = verify::proof(&base.store, options)?;
    let Some(flaw) = proof.flaws.first() else { return Ok(proof.rows) };
    Err(flawed(format!("{flaw}; flaws: {}", proof.flaws.len())))
}

fn flawed(reason: String) -> Failure {
    Failure::new(reason).hint("only a database that verifies gets new MACs; `bulla verify` lists all that does not hold")
}

/// Brings everything under a new root, recorded before and after; how many rows were written.
fn changed(config: &Config, base: Base, options: &StoreOptions) -> Result<u64, Failure> {
    let principal = format!("host/uid={}", rustix::process::getuid().as_raw());
    let of = |node: NodeId| spare_key::By { principal: &principal, reason: "host", node };
    let log = base.audit(config, "admin", LOCK_WAIT_MS)?;
    // What an earlier one has left.
    spare_key::destroy(&base, &log.audit, of(log.node))?;
    let old = base.store.read_rows("rekey", |tx| tx.deployment()).map_err(context("database"))?;
    let to = DeploymentRow { row_key: KeyVersionId::new(), spare_row_key: Some(old.row_key), ..old.clone() };
    let effect = Effect::of_service(log.node, Moment::of(Clock::System.now()));
    let resource = format!("deployment/{} row-key/{} next/{}", old.id, old.row_key, to.row_key);
    let record = Record {
        principal: Some(&principal),
        resource: Some(&resource),
        decision: Some(Verdict::Allowed),
        by: Some("host"),
        ..Record::new(Kind::Admin, effect.request_id(), REKEY)
    };
    let recorded = |log: &OpenLog, code| {
        let ticket = log.audit.submit(&Record { code, ..record });
        ticket.wait().map_err(context("audit"))
    };
    recorded(&log, None)?;
    if let Err(failure) = made(&base, &to.row_key) {
        recorded(&log, Some("Failed"))?;
        return Err(failure);
    }
    // How far the log is stands in a row, too: it is closed under one key, and opened again under the other.
    drop(log);
    let failure = match written(&base, options, &to, &effect) {
        Ok(rows) => {
            let token = Arc::clone(&base.token);
            drop(base);
            let base = Base::on(config, token, to)?;
            let log = base.audit(config, "admin", LOCK_WAIT_MS)?;
            recorded(&log, Some("OK"))?;
            let hint = "the new key is in use; the next start destroys the one before, or `bulla rekey --accept` once more";
            spare_key::destroy(&base, &log.audit, of(log.node)).map_err(|failure| failure.hint(hint))?;
            return Ok(rows);
        }
        Err(Ended::Unknown(failure)) => return Err(failure),
        Err(Ended::Refused(failure)) => failure,
    };
    let log = base.audit(config, "admin", LOCK_WAIT_MS)?;
    recorded(&log, Some("Failed"))?;
    spare_key::destroy(&base, &log.audit, of(log.node))?;
    Err(failure)
}

/// Names the next root, and makes it.
fn made(base: &Base, id: &KeyVersionId) -> Result<(), Failure> {
    base.store.write_rows("rekey", |tx| tx.deployment_spare(Some(*id))).map_err(context("database"))?;
    reach(Step::RekeyNamed);
    base.token.create(id, ObjectKind::Row).map_err(context("token: ROW"))?;
    reach(Step::RekeyMade);
    Ok(())
}

/// How the transaction ended that did not succeed.
enum Ended {
    /// Nothing was changed.
    Refused(Failure),
    /// Nobody knows.
    Unknown(Failure),
}

/// The one transaction.
fn written(base: &Base, options: &StoreOptions, to: &DeploymentRow, effect: &Effect) -> Result<u64, Ended> {
    let key = row_key(&base.token, to).map_err(Ended::Refused)?;
    let (proved, rewritten) = (Progress::new("proved", 0), Progress::new("rewritten", 0));
    let mut tell = |stage, done, all| match stage {
        RekeyStage::Proving => proved.at(done, all),
        RekeyStage::Writing => rewritten.at(done, all),
    };
    let done = base.store.rekey(options, to, key, &|tx| effect.mark(tx), &mut tell);
    proved.end();
    rewritten.end();
    done.map_err(|error| match error {
        StoreError::Unknown(_) => {
            let reason = format!("database: {error}; whether the new key is in use is not known");
            let hint = "the deployment's row says which one is: start a node, or run `bulla rekey --accept` once more";
            Ended::Unknown(Failure::unavailable(reason).hint(hint))
        }
        StoreError::Corrupt { .. } => Ended::Refused(flawed(format!("database: {error}"))),
        error => Ended::Refused(context("database")(error)),
    })
}
