//! `bulla init`: the first start on a token.
//!
//! The row that names the deployment and the ids of its system keys is written first, marked as not ready; the keys are made under
//! those ids; then it is marked ready. A run that was killed is taken up by the next one.

use crate::admin::output::Output;
use crate::admin::{LOCK_WAIT_MS, Session, account};
use crate::app::{Base, Failure, context, open_token};
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::{DeploymentId, KeyVersionId, UserName};
use crate::store::{Abort, DeploymentRow, deployment, migrate};
use crate::token::ObjectKind;

/// Runs the command.
pub fn run(config: &Config, first_account: &UserName) -> Result<Output, Failure> {
    let url = config.database.location()?;
    migrate::run(&url).map_err(context("database"))?;
    let row = deployment::read(&url).map_err(context("database"))?;
    if !row.as_ref().is_some_and(|row| row.ready) {
        make_system_keys(config, &url, row)?;
    }
    let base = Base::open(config)?;
    let (log, _, _) = base.audit(config, "admin", LOCK_WAIT_MS)?;
    let session = Session { base, log, clock: Clock::System };
    if session.read(|tx| Ok::<_, Abort<Failure>>(!tx.accounts()?.is_empty()))? {
        return Err(Failure("the deployment is initialised already".into()));
    }
    account::create(&session, first_account)
}

/// Whether `bulla init` has come to its end.
pub fn is_done(config: &Config) -> Result<bool, Failure> {
    let url = config.database.location()?;
    migrate::run(&url).map_err(context("database"))?;
    let row = deployment::read(&url).map_err(context("database"))?;
    if !row.is_some_and(|row| row.ready) {
        return Ok(false);
    }
    let base = Base::open(config)?;
    let accounts = base.store.read("accounts", |tx| Ok::<_, Abort<crate::store::StoreError>>(tx.accounts()?));
    Ok(!accounts.map_err(context("database"))?.is_empty())
}

fn make_system_keys(config: &Config, url: &str, begun: Option<DeploymentRow>) -> Result<(), Failure> {
    let token = open_token(config)?;
    let row = match begun {
        Some(row) => row,
        None => {
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
            row
        }
    };
    let keys = [(row.sys_key, ObjectKind::Sys), (row.int_key, ObjectKind::Int), (row.aud_key, ObjectKind::Aud)];
    for (id, kind) in keys {
        // What an earlier run left half made.
        token.destroy(&id).map_err(context("token"))?;
        token.create(&id, kind).map_err(context("token"))?;
    }
    deployment::set_ready(url, &row.id).map_err(context("database"))?;
    Ok(())
}
