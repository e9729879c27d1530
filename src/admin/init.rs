//! `bulla init`: the first start on a token.
//!
//! The row that names the deployment and the ids of its system keys is written first, marked as not ready; the keys are made under
//! those ids; then it is marked ready. A run that was killed is taken up by the next one.

use crate::admin::output::Output;
use crate::admin::{LOCK_WAIT_MS, Session, account};
use crate::app::{Base, Failure, context, open_token};
use crate::base::clock::Clock;
use crate::base::ids::{DeploymentId, KeyVersionId, UserName};
use crate::config::Config;
use crate::store::{Abort, DeploymentRow, deployment, migrate};
use crate::token::{ObjectKind, Token};

/// Runs the command.
pub fn run(config: &Config, first_account: &UserName) -> Result<Output, Failure> {
    let base = begin(config)?;
    let output = first_account_create(config, &base, first_account)?;
    output.ok_or(Failure::new("the deployment is initialised already"))
}

/// Brings the schema up, and makes the system keys unless that was done.
pub fn begin(config: &Config) -> Result<Base, Failure> {
    let url = config.database.location()?;
    migrate::run(&url).map_err(context("database"))?;
    let token = open_token(config)?;
    let row = match deployment::read(&url).map_err(context("database"))? {
        Some(row) => row,
        None => insert_row(config, &url, &token)?,
    };
    if !row.ready {
        make_system_keys(&url, &token, &row)?;
    }
    Base::on(config, token, row)
}

/// Makes the first account and its root access key; none if there is an account already.
pub fn first_account_create(config: &Config, base: &Base, name: &UserName) -> Result<Option<Output>, Failure> {
    let (log, _, _) = base.audit(config, "admin", LOCK_WAIT_MS)?;
    let session = Session { base: base.clone(), log, clock: Clock::System };
    if session.read(|tx| Ok::<_, Abort<Failure>>(!tx.accounts()?.is_empty()))? {
        return Ok(None);
    }
    account::create(&session, name).map(Some)
}

fn insert_row(config: &Config, url: &str, token: &Token) -> Result<DeploymentRow, Failure> {
    let row = DeploymentRow {
        id: DeploymentId::new(),
        region: config.region.clone(),
        sys_key: KeyVersionId::new(),
        int_key: KeyVersionId::new(),
        aud_key: KeyVersionId::new(),
        suite: token.probe().map_err(context("token"))?,
        ready: false,
        created_at: Clock::System.now(),
    };
    deployment::insert(url, &row).map_err(context("database"))?;
    Ok(row)
}

fn make_system_keys(url: &str, token: &Token, row: &DeploymentRow) -> Result<(), Failure> {
    let keys = [(row.sys_key, ObjectKind::Sys), (row.int_key, ObjectKind::Int), (row.aud_key, ObjectKind::Aud)];
    for (id, kind) in keys {
        // What an earlier run left half made.
        token.destroy(&id).map_err(context("token"))?;
        token.create(&id, kind).map_err(context("token"))?;
    }
    deployment::set_ready(url, &row.id).map_err(context("database"))?;
    Ok(())
}
