//! `bulla restore`: accepts a database that was put back to an earlier state on purpose. Nothing else does.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::admin::audit::{Proof, keys_of};
use crate::admin::{LOCK_WAIT_MS, backup, unless_served, verify};
use crate::app::{Base, Failure, context, token_key};
use crate::audit::{self, Kind, ReadLine, Record, Verdict};
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::RequestId;
use crate::config::Config;
use crate::output::progress::Progress;
use crate::output::{Output, Row};
use crate::store::{AnchorsRow, Sealed, Store, StoreError, StoreOptions, copy, deployment};

/// What is told to whoever has not accepted yet.
const NEXT: &str = "with --accept this database is the one that counts; it needs the PIN, and is recorded";

/// What a log calls the acceptance of a database, which changes nothing that could be lost.
const ACCEPT: &str = "AcceptDatabase";

/// The most lost changes that are listed; all are counted.
const LISTED: usize = 100;

/// Runs the command: shows what the database has and what it lacks of what this host's logs tell, and accepts it if that was asked for.
pub fn run(config: &Config, from: Option<&Path>, accept: bool) -> Result<Output, Failure> {
    unless_served(config)?;
    let options = verify::options(config)?;
    let Some(folder) = from else {
        let base = Base::open(config)?;
        let state = State::of(config, &base, &options)?;
        if accept {
            take(config, &base, &state)?;
        }
        return Ok(Output::One(state.shown(accept)));
    };
    let backup = backup::prove(config, folder)?;
    // What does not verify takes nobody's place.
    let copy = backup.opened()?;
    let state = State::of(config, &copy.base, &copy.options)?;
    let mut aside = None;
    if accept {
        unless_anothers(&options, &copy.base)?;
        let progress = Progress::new("copied", 0);
        let loaded = copy::load(&backup.file(), &options, &|done, all| progress.at(done, all));
        progress.end();
        aside = loaded.map_err(context("database"))?;
        let base = Base::of_token(config, Arc::clone(&backup.token))?;
        // A copy between two databases could go wrong in ways that the file knows nothing of.
        verified(&base, &options)?;
        take(config, &base, &state)?;
    }
    let mut row = state.shown(accept);
    row.extend(backup::shown(&backup.manifest));
    row.extend(aside.map(|aside| ("DatabaseOfBefore", aside.display().to_string().into())));
    Ok(Output::One(row))
}

/// Proves all rows but the one that an acceptance writes anew; how many they are.
fn verified(base: &Base, options: &StoreOptions) -> Result<u64, Failure> {
    let proof = verify::proof(&base.store, options)?;
    let flaws: Vec<_> = proof.flaws.iter().filter(|flaw| flaw.table != AnchorsRow::TABLE).collect();
    let Some(flaw) = flaws.first() else { return Ok(proof.rows) };
    let reason = format!("{flaw}; flaws: {}", flaws.len());
    Err(Failure::new(reason).hint("only a database that verifies is accepted; `bulla verify` lists all that does not hold"))
}

/// Refuses to replace the database of another deployment. One that cannot be read, or is empty, is what a restoration is for.
fn unless_anothers(options: &StoreOptions, backup: &Base) -> Result<(), Failure> {
    match deployment::read(&options.url) {
        Ok(Some(there)) if there.id != backup.deployment.id => {
            let (there, of) = (there.id, backup.deployment.id);
            let failure = Failure::conflict(format!("the database is of deployment {there}, and the backup of {of}"));
            Err(failure.hint("name the configuration of the deployment that was lost, or one with an empty database"))
        }
        _ => Ok(()),
    }
}

/// The database beside the logs of this host.
struct State {
    /// How many rows verify: all of them.
    rows: u64,
    /// None where they do not verify or are gone: then nothing says how old the database is.
    anchors: Option<AnchorsRow>,
    /// When any node last wrote how far its log was.
    in_database: Option<Timestamp>,
    /// When a log here last told of a change.
    in_log: String,
    /// What the logs tell of behind that.
    lost: Vec<String>,
    lost_count: u64,
}

impl State {
    fn of(config: &Config, base: &Base, options: &StoreOptions) -> Result<Self, Failure> {
        let rows = verified(base, options)?;
        let read = base.store.read_rows("anchors", |tx| Ok((tx.log_heads()?.rows, tx.anchors_told()?.ok())));
        let (heads, anchors) = read.map_err(context("database"))?;
        let in_database = heads.iter().map(|head| head.written_at).max();
        let since = in_database.map(Timestamp::with_ms).unwrap_or_default();
        let mut state = Self { rows, anchors, in_database, in_log: String::new(), lost: Vec::new(), lost_count: 0 };
        let keys = keys_of(base)?;
        for log in Proof::of_deployment(config, base)?.logs() {
            let mut failure = None;
            let mut each = |line: &ReadLine<'_>| {
                if let Some(change) = Change::told_by(line) {
                    // Logs are walked one after the other, and the latest may be in any.
                    if line.time > state.in_log.as_str() {
                        line.time.clone_into(&mut state.in_log);
                    }
                    if line.time > since.as_str() {
                        match change.is_in(&base.store) {
                            Ok(true) => {}
                            Ok(false) => state.lose(change.to_string()),
                            Err(error) => failure = Some(error),
                        }
                    }
                }
                failure.is_none()
            };
            // What does not verify is told by `bulla audit verify`; here it is as good a witness as any.
            let _ = audit::read(&log.files, &keys, &mut each);
            if let Some(error) = failure {
                return Err(context("database")(error));
            }
        }
        Ok(state)
    }

    fn lose(&mut self, change: String) {
        self.lost_count += 1;
        if self.lost.len() < LISTED {
            self.lost.push(change);
        }
    }

    fn shown(self, accepted: bool) -> Row {
        let hint = match accepted {
            true => "start the nodes; those that ran begin anew by themselves",
            false => NEXT,
        };
        Output::row([
            ("Accepted", accepted.into()),
            ("AgeKnown", self.anchors.is_some().into()),
            ("RowsVerified", self.rows.into()),
            ("LastWriteInDatabase", self.in_database.map_or(Value::Null, |at| at.with_ms().into())),
            ("LastWriteInLog", if self.in_log.is_empty() { Value::Null } else { self.in_log.into() }),
            ("ChangesLost", self.lost_count.into()),
            ("Lost", self.lost.into()),
            ("Next", hint.into()),
        ])
    }
}

/// What a log tells of a change to the database: a request's, one of the service's own, or a command's.
struct Change {
    record: Value,
}

impl Change {
    fn told_by(line: &ReadLine<'_>) -> Option<Self> {
        let succeeded = line.text.windows(11).any(|part| part == br#""code":"OK""#);
        if !succeeded || !["outcome", "admin"].contains(&line.kind) {
            return None;
        }
        let record: Value = serde_json::from_slice(line.text).unwrap_or_default();
        (record["action"] != ACCEPT).then_some(Self { record })
    }

    /// Whether the database has it: each leaves a mark, which stays for longer than the heads of logs are behind.
    fn is_in(&self, store: &Store) -> Result<bool, StoreError> {
        let id = |name: &str| self.record[name].as_str().unwrap_or_default();
        let (Ok(request), Ok(node)) = (id("request_id").parse(), id("node").parse()) else { return Ok(false) };
        match store.read_rows("mark", |tx| tx.nonce_of_request(&request, &node, Timestamp(0))) {
            Err(StoreError::Corrupt { .. }) => Ok(false),
            found => found,
        }
    }
}

/// When, what, to what, by whom.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let member = |name: &str| self.record[name].as_str().unwrap_or("-");
        write!(f, "{} {} {} by {}", member("time"), member("action"), member("resource"), member("principal"))
    }
}

/// Accepts it, recorded before and after.
fn take(config: &Config, base: &Base, state: &State) -> Result<(), Failure> {
    let log = base.audit_of_a_restored(config, "admin", LOCK_WAIT_MS)?;
    let principal = format!("host/uid={}", rustix::process::getuid().as_raw());
    let of = state.in_database.map(Timestamp::with_ms).unwrap_or_default();
    let resource = format!("deployment/{} database-of/{of} changes-lost/{}", base.deployment.id, state.lost_count);
    let record = Record {
        principal: Some(&principal),
        resource: Some(&resource),
        decision: Some(Verdict::Allowed),
        by: Some("host"),
        ..Record::new(Kind::Admin, RequestId::new(), ACCEPT)
    };
    log.audit.submit(&record).wait().map_err(context("audit"))?;
    let accepted = renew(base, state.anchors.as_ref());
    let code = if accepted.is_ok() { "OK" } else { "Failed" };
    log.audit.submit(&Record { code: Some(code), ..record }).wait().map_err(context("audit"))?;
    accepted
}

/// Makes the next key on the token, and names it: what was put back before is then older than that. The one that the database named goes the
/// way of every key before.
fn renew(base: &Base, old: Option<&AnchorsRow>) -> Result<(), Failure> {
    let now = Clock::System.now();
    let key_id = token_key::make(&base.token).map_err(context("token: the key that is made anew"))?;
    let new = AnchorsRow {
        id: AnchorsRow::ID,
        restored_at: old.map_or(now, |old| Timestamp(now.0.max(old.restored_at.0 + 1))),
        key_id,
        previous_key: old.map(|old| old.key_id),
        key_since: now,
    };
    base.store.write_rows("restore", |tx| tx.anchors_renew(&new)).map_err(context("database"))
}
