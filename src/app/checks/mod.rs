//! What a start looks at, in order: one list, which `serve` takes until something is refused and `check` takes to its end.
//!
//! Owns: the list, and what it says of each. Must not know: how anything is served. Called by: app (start of a server, opening for
//! commands), admin (`bulla check`).

mod local;
mod remote;

pub use remote::database_url;

use std::sync::Arc;

use crate::app::base::Base;
use crate::app::start_retry::StartRetry;
use crate::app::steps::Steps;
use crate::base::failure::Failure;
use crate::config::Config;
use crate::keys::Mismatch;
use crate::logins::Logins;
use crate::store::DeploymentRow;
use crate::token::Token;

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// In words.
    pub found: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// A start goes on; somebody should look.
    Warn,
    /// A start, or what is served after it, fails.
    Fail,
    /// Not looked at, because something that it needs is not there.
    Skipped,
}

/// What a check found that did not fail.
enum Found {
    /// As it should be.
    Fine(String),
    /// A start goes on: what is wrong, and what to do.
    Odd(String, String),
    /// Something before it failed.
    Unseen(&'static str),
}

/// What the checks before have opened.
struct Opened<'a> {
    config: &'a Config,
    retry: StartRetry,
    deployment: Option<DeploymentRow>,
    token: Option<Arc<Token>>,
    base: Option<Base>,
    steps: Option<Steps>,
    mismatch: Option<Mismatch>,
    logins: Option<Logins>,
}

/// What checks read of token and database, where both could be read.
pub struct Compared {
    /// The deployment.
    pub base: Base,
    /// How they fit.
    pub mismatch: Mismatch,
    /// What the deployment stands on.
    pub steps: Steps,
}

type Check = fn(&mut Opened<'_>) -> Result<Found, Failure>;

/// What every start needs of this host.
const HOST: &[(&str, Check)] = &[
    ("PIN", local::pin),
    ("module", local::module),
    ("listeners", local::listeners),
    ("open files", local::open_files),
    ("certificates", local::certificates),
    ("audit folder", local::audit_folder),
    ("database file", local::database_file),
    ("memory", local::memory),
    ("core dumps", local::core_dumps),
    ("managed servers", local::managed_servers),
    ("logins", local::logins),
];

/// What commands need too: each opens what the next stands on.
const BASE: &[(&str, Check)] = &[
    ("database", remote::database),
    ("deployment", remote::deployment),
    ("token", remote::token),
    ("system keys", remote::system_keys),
    ("row key", remote::row_key),
];

/// What a start looks at where it opens its log, as every command does that writes one.
const LOG: &[(&str, Check)] = &[("freshness", remote::freshness)];

/// The check that makes a key and destroys it.
pub const MAKING_KEYS: &str = "making keys";

/// What a start does not wait for: comparisons that take as long as there are keys, and servers of others.
const DEEP: &[(&str, Check)] = &[
    ("suite", remote::suite),
    ("steps", remote::steps),
    ("keys", remote::keys),
    (MAKING_KEYS, remote::making_keys),
    ("logins at managed servers", remote::logins),
    ("issuers", remote::issuers),
    ("permissions", local::permissions),
    ("database rights", remote::rights),
    ("database connections", remote::connections),
    ("clock", remote::clock),
    ("audit receiver", local::receiver),
];

impl<'a> Opened<'a> {
    fn new(config: &'a Config, retry: StartRetry) -> Self {
        Self { config, retry, deployment: None, token: None, base: None, steps: None, mismatch: None, logins: None }
    }

    /// Takes checks until one fails.
    fn take(&mut self, checks: &[(&str, Check)]) -> Result<(), Failure> {
        for (name, check) in checks {
            if let Found::Odd(found, hint) = check(self)?
                && self.retry == StartRetry::Server
            {
                log::warn!("{name}: {found}; {hint}");
            }
        }
        Ok(())
    }

    fn opened(self) -> Result<Base, Failure> {
        self.base.ok_or_else(|| Failure::new("nothing was opened"))
    }
}

/// Takes all checks that a start needs, and gives what they opened.
///
/// # Errors
/// The first that fails.
pub(super) fn start(config: &Config) -> Result<(Base, Logins), Failure> {
    let mut opened = Opened::new(config, StartRetry::Server);
    opened.take(HOST)?;
    opened.take(BASE)?;
    let logins = opened.logins.take();
    Ok((opened.opened()?, logins.ok_or_else(|| Failure::new("the logins were not looked at"))?))
}

impl Base {
    /// Opens token and database of an initialised deployment, for a command.
    ///
    /// # Errors
    /// When either is away or does not fit the other, or `bulla init` has not run.
    pub fn open(config: &Config) -> Result<Self, Failure> {
        let mut opened = Opened::new(config, StartRetry::Command);
        opened.take(BASE)?;
        opened.opened()
    }
}

impl Base {
    /// The same on a token that is open already.
    ///
    /// # Errors
    /// As [`Base::open`].
    pub fn of_token(config: &Config, token: Arc<Token>) -> Result<Self, Failure> {
        let mut opened = Opened { token: Some(token), ..Opened::new(config, StartRetry::Command) };
        let but_the_token: Vec<_> = BASE.iter().copied().filter(|(name, _)| *name != "token").collect();
        opened.take(&but_the_token)?;
        opened.opened()
    }
}

/// Takes every check, whatever the ones before found, and gives what they read.
pub fn check(config: &Config) -> (Vec<Finding>, Option<Compared>) {
    let mut opened = Opened::new(config, StartRetry::Command);
    let findings = [HOST, BASE, LOG, DEEP].concat().into_iter().map(|(name, check)| match check(&mut opened) {
        Ok(Found::Fine(found)) => Finding { name, verdict: Verdict::Ok, found, hint: None },
        Ok(Found::Odd(found, hint)) => Finding { name, verdict: Verdict::Warn, found, hint: Some(hint) },
        Ok(Found::Unseen(what)) => {
            Finding { name, verdict: Verdict::Skipped, found: format!("not looked at: {what}"), hint: None }
        }
        Err(Failure { reason, hint, .. }) => Finding { name, verdict: Verdict::Fail, found: reason, hint },
    });
    let findings = findings.collect();
    let read = opened.base.zip(opened.mismatch).zip(opened.steps);
    (findings, read.map(|((base, mismatch), steps)| Compared { base, mismatch, steps }))
}
