//! `bulla init`: the first start on a token.
//!
//! The row that names the deployment and the ids of its system keys is written first, marked as not ready; the keys are made under
//! those ids; then what the token was found to refuse to be told is added, and it is sealed and marked ready, in one transaction with the
//! row that names the first key that is made anew. A run that was killed is taken up by the next one, which keeps what it can prove and
//! makes the rest under new ids. Nothing on the token is ever destroyed here: until it is sealed, the row proves nothing. One process at a
//! time does all this: two would make keys under the same ids, and each take the other's for what a failed call of its own had left.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::admin::{LOCK_WAIT_MS, Session, account, audit, same_user};
use crate::app::{Base, Failure, context, database_url, known_node, open_token, row_key, system_keys, token_key};
use crate::audit::INITIALISE;
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::{DeploymentId, KeyVersionId, UserName};
use crate::config::Config;
use crate::output::Output;
use crate::store::{AnchorsRow, DeploymentRow, Levels, SetupLock, deployment, migrate, setup_lock};
use crate::token::{Token, TokenError};

/// How long one waits for another that is at it.
const ALONE_WITHIN: Duration = Duration::from_secs(30);

/// Runs the command.
pub fn run(config: &Config, first_account: &UserName) -> Result<Output, Failure> {
    let (_, output) = whole(config, first_account)?;
    output.ok_or_else(|| Failure::conflict("the deployment is initialised already").hint("`bulla check` says how it is"))
}

/// Brings the schema up, and makes the system keys unless that was done.
pub fn begin(config: &Config) -> Result<Base, Failure> {
    let _alone = alone(config)?;
    begun(config)
}

/// The same, and the first account with its root access key; what it has to show, unless there was an account already.
pub fn whole(config: &Config, first_account: &UserName) -> Result<(Base, Option<Output>), Failure> {
    let _alone = alone(config)?;
    let base = begun(config)?;
    let created = first_account_create(config, &base, first_account)?;
    Ok((base, created))
}

/// Keeps every other process out, on this host and others.
fn alone(config: &Config) -> Result<SetupLock, Failure> {
    same_user(&config.audit.directory)?;
    let held = setup_lock::take(&database_url(config)?, ALONE_WITHIN).map_err(context("database"))?;
    held.ok_or_else(|| Failure::conflict("another `bulla init` sets this deployment up").hint("wait until it has ended"))
}

fn begun(config: &Config) -> Result<Base, Failure> {
    let url = database_url(config)?;
    migrate::run(&url).map_err(context("database"))?;
    let row = deployment::read(&url).map_err(context("database"))?;
    let token = open_token(config, row.as_ref().map_or("", |row| &row.left_out))?;
    let row = match row {
        Some(row) => row,
        None => {
            unused_folder(&config.audit.directory)?;
            insert_row(config, &url, &token)?
        }
    };
    let row = if row.ready { row } else { make_system_keys(&url, &token, row)? };
    Base::on(config, Arc::new(token), row)
}

/// Makes the first account and its root access key; none if there is an account already.
fn first_account_create(config: &Config, base: &Base, name: &UserName) -> Result<Option<Output>, Failure> {
    let log = base.audit(config, "admin", LOCK_WAIT_MS)?;
    let session = Session { base: base.clone(), log, clock: Clock::System };
    if session.read(|tx| Ok(!tx.accounts()?.is_empty()))? {
        return Ok(None);
    }
    // The first line of this log binds the key that proves it to the deployment.
    let fingerprint = audit::fingerprint(audit::key_of(base)?.as_bytes());
    let bound = format!("deployment/{} audit-key/sha256:{fingerprint}", base.deployment.id);
    session.change(INITIALISE, &bound, |_| Ok(()))?;
    let mut created = account::create(&session, name)?;
    if let Output::One(row) = &mut created {
        row.push(("AuditKeyFingerprint", fingerprint.into()));
    }
    Ok(Some(created))
}

/// That no node has its logs where those of a new deployment are to be: the database is another than theirs then, most likely by mistake.
fn unused_folder(folder: &Path) -> Result<(), Failure> {
    let Some(node) = known_node(folder).map_err(context("audit"))? else { return Ok(()) };
    let folder = folder.display();
    let reason =
        format!("audit.directory {folder} has the logs of node {node}, of another deployment, and the database is empty");
    Err(Failure::conflict(reason).hint("name the database that they belong to; or, for a new deployment, an empty folder"))
}

fn insert_row(config: &Config, url: &str, token: &Token) -> Result<DeploymentRow, Failure> {
    let row = DeploymentRow {
        id: DeploymentId::new(),
        region: config.region.clone(),
        sys_key: KeyVersionId::new(),
        int_key: KeyVersionId::new(),
        aud_key: KeyVersionId::new(),
        row_key: KeyVersionId::new(),
        spare_row_key: None,
        suite: token.probe().map_err(context("token"))?,
        ready: false,
        created_at: Clock::System.now(),
        level: Levels::served().highest,
        left_out: String::new(),
    };
    deployment::insert(url, &row).map_err(context("database"))?;
    Ok(row)
}

/// Makes the system keys, or takes those that an earlier run made; answers the row as it is then.
fn make_system_keys(url: &str, token: &Token, mut row: DeploymentRow) -> Result<DeploymentRow, Failure> {
    if deployment::is_used(url).map_err(context("database"))? {
        let reason = "it holds accounts, so it was initialised; its row was changed since, or comes from elsewhere";
        let hint = "put the right database back (docs/operations.md, Backup), or name an empty one";
        return Err(Failure::new(format!("database: {reason}")).hint(hint));
    }
    for (name, id, kind) in system_keys(&row) {
        let subject = || format!("token: {name} ({id})");
        let objects = token.inspect(&id).map_err(context(subject()))?.len();
        let flaw = match objects {
            0 => continue,
            // To prove half of a pair would be to wait for the other half.
            found if found < kind.objects() => format!("{found} of {} objects", kind.objects()),
            _ => match token.prove(&id, kind) {
                Ok(()) => continue,
                Err(error @ (TokenError::Busy | TokenError::Gone | TokenError::Pin(_))) => {
                    return Err(context(subject())(error));
                }
                Err(error) => error.to_string(),
            },
        };
        log::warn!(
            "token: the object {id} is no whole {name} ({flaw}); it is left as it is, and another one made (docs/operations.md, First start)"
        );
        row = deployment::rename(url, &row, id, KeyVersionId::new()).map_err(context("database"))?;
    }
    for (name, id, kind) in system_keys(&row) {
        if !token.exists(&id).map_err(context("token"))? {
            token.create(&id, kind).map_err(context(format_args!("token: {name}")))?;
        }
    }
    let key = row_key(token, &row)?;
    // One that an earlier run made is not found again: nothing names it, and `bulla check` lists it.
    let key_id = token_key::make(token).map_err(context("token: the first key that is made anew"))?;
    let (restored_at, key_since) = (Timestamp(0), Clock::System.now());
    let first = AnchorsRow { id: AnchorsRow::ID, restored_at, key_id, previous_key: None, key_since };
    let (met, found) = token.left_out().map_err(context("token"))?;
    row.left_out = met.and(&found).to_string();
    if !deployment::complete(url, &row, &first, &key).map_err(context("database"))? {
        return Err(Failure::new("database: another `bulla init` was faster").hint("`bulla check` says how it is"));
    }
    Ok(DeploymentRow { ready: true, ..row })
}
