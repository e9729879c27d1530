//! The administration commands, run on the server's host beside a running server.
//!
//! Owns: what each command does and prints. Must not know: HTTP. Called by: main.
//!
//! A command's effect is recorded in the log `admin` of the audit folder, durably, before it happens; its result after.

mod access;
mod access_key;
mod account;
mod audit;
mod backup;
mod bearer_token;
mod ceremony;
mod check;
mod dev;
mod init;
mod inventory;
mod level;
mod policy;
mod probe;
mod rekey;
mod restore;
mod serve;
mod signed;
mod unlock;
mod user;
mod verify;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::app::{Base, Failure, OpenLog, clock_watch, context, database_url};
use crate::audit::{Kind, Record, Verdict};
use crate::base::alarm;
use crate::base::clock::{Clock, Moment, Timestamp};
use crate::base::failure::Class;
use crate::cli::{self, Host, Place, Scope};
use crate::config::Config;
use crate::effect::Effect;
use crate::output::Output;
use crate::store::{Abort, AccountRow, StoreError, Tx, migrate};

/// How long a command waits for another one to end, ms.
const LOCK_WAIT_MS: u64 = 10_000;

/// Where the configuration is when nobody says.
const CONFIG_FILE: &str = "/etc/bulla/bulla.toml";

/// Runs a command, and prints what it has to say.
///
/// # Errors
/// Why it did not do what was asked.
pub fn run(command: Host, json: bool) -> Result<(), Failure> {
    if let Some(folder) = command.data_folder() {
        dev::enter(folder)?;
    }
    let makes = makes(&command);
    let output = match command {
        Host::Dev(dev) => return dev::run(&dev, json),
        Host::Probe { url } => return probe::run(&url),
        Host::Serve { place } => return serve::run(&load(&place)?),
        Host::Init { place, account } => init::run(&load(&place)?, &account)?,
        Host::Check { place } => check::run(&load(&place)?, json)?,
        Host::Level { place, raise } => level::run(&Session::open(&place)?, raise)?,
        Host::Clock { place, action: cli::Clock::Accept } => accept_clock(&load(&place)?)?,
        Host::Verify { place, open_data_keys } => return verify::run(&load(&place)?, open_data_keys, json),
        Host::Backup(asked) => backup::run(&asked, json)?,
        Host::Inventory(asked) => inventory::run(&asked, json)?,
        Host::Restore { place, from, accept } => restore::run(&load(&place)?, from.as_deref(), accept)?,
        Host::Rekey { place, accept } => rekey::run(&load(&place)?, accept)?,
        Host::Ceremony { place } => ceremony::run(&load(&place)?)?,
        Host::Unlock { place } => unlock::run(&load(&place)?)?,
        Host::Migrate { place } => migrate(&load(&place)?)?,
        Host::Account { place, action } => account::run(&Session::open(&place)?, action)?,
        Host::User { scope, action } => user::run(&Session::open(&scope.place)?, &scope, action)?,
        Host::AccessKey { scope, action } => access_key::run(&Session::open(&scope.place)?, &scope, action)?,
        Host::Token { scope, action } => bearer_token::run(&Session::open(&scope.place)?, &scope, action)?,
        Host::Policy { scope, action } => policy::run(&Session::open(&scope.place)?, &scope, action)?,
        Host::Access { scope, action } => access::run(&Session::open(&scope.place)?, &scope, action)?,
        Host::Audit { action } => audit::run(action, json)?,
    };
    output.print(json).map_err(|failure| if makes { made_unheard(&failure, &output) } else { failure })
}

/// Whether a command makes what cannot be made twice, or is shown once.
fn makes(command: &Host) -> bool {
    match command {
        Host::Init { .. } => true,
        Host::Account { action, .. } => matches!(action, cli::Account::Create { .. }),
        Host::User { action, .. } => matches!(action, cli::User::Create { .. }),
        Host::AccessKey { action, .. } => matches!(action, cli::AccessKey::Create { .. }),
        Host::Token { action, .. } => matches!(action, cli::BearerToken::Create { .. }),
        _ => false,
    }
}

/// What was made is there, and nobody was told of it: which it is, and how it is taken back or made good.
fn made_unheard(failure: &Failure, output: &Output) -> Failure {
    let Output::One(row) = output else { return failure.clone() };
    let of = |name: &str| row.iter().find(|(known, _)| *known == name).and_then(|(_, value)| value.as_str());
    let hint = match (of("AccountId"), of("AccessKeyId"), of("Accessor"), of("UserName")) {
        (Some(account), Some(key), ..) => format!(
            "account {account} is there, and nobody knows the secret of its access key: `bulla access-key delete {key} --account \
             {account}`, then `bulla access-key create --account {account}`"
        ),
        (_, Some(key), ..) => format!("nobody knows its secret: `bulla access-key delete {key}`, then once more"),
        (.., Some(accessor), _) => format!("nobody knows the token: `bulla token revoke {accessor}`, then once more"),
        (.., Some(user)) => format!("the user is there: `bulla user show {user}`"),
        _ => return failure.clone(),
    };
    Failure { reason: format!("done, but the answer could not be written: {}", failure.reason), ..failure.clone() }.hint(hint)
}

/// The configuration file of a place.
fn config_file(place: &Place) -> Result<PathBuf, Failure> {
    if let Some(file) = &place.config {
        return Ok(file.clone());
    }
    if let Some(folder) = &place.data {
        return Ok(dev::config_file(folder));
    }
    if let Some(file) = std::env::var_os("BULLA_CONFIG").filter(|file| !file.is_empty()) {
        return Ok(file.into());
    }
    let usual = PathBuf::from(CONFIG_FILE);
    if usual.exists() {
        return Ok(usual);
    }
    let failure = Failure::local(format!("no configuration: neither --config nor $BULLA_CONFIG, and no {CONFIG_FILE}"));
    Err(failure.hint("name the deployment: --config FILE, or --data DIR of `bulla dev`"))
}

fn load(place: &Place) -> Result<Config, Failure> {
    let file = config_file(place)?;
    dev::follow(&file);
    Config::load(&file).map_err(|e| match file.exists() {
        true => Failure::local(e.to_string()),
        false => Failure::local(e.to_string())
            .hint("--config FILE or $BULLA_CONFIG names it; docs/operations.md, Configuration, has one to begin with"),
    })
}

fn migrate(config: &Config) -> Result<Output, Failure> {
    let applied = migrate::run(&database_url(config)?).map_err(context("database"))?;
    Ok(Output::List(applied.into_iter().map(|name| Output::row([("Migration", name.into())])).collect()))
}

fn accept_clock(config: &Config) -> Result<Output, Failure> {
    let folder = &config.audit.directory;
    clock_watch::accept(folder, &Clock::System).map_err(context(folder.display()))?;
    Ok(Output::one([("Accepted", Clock::System.now().to_string().into())]))
}

/// How long a command asks what came of a commit that was cut, and how often.
const SETTLED_WITHIN: Duration = Duration::from_secs(15);
const SETTLED_PAUSE: Duration = Duration::from_millis(250);

/// How long a command looks after what it changed: longer than a node takes to look for itself, which then refuses what is older.
const STAYS_FOR: Duration = Duration::from_millis(600);
const STAYS_PAUSE: Duration = Duration::from_millis(50);

/// How a change ended that did not succeed.
enum Ended {
    /// The command decided against it.
    Refused(Failure),
    /// The store did.
    Store(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Ended::Store(error)
    }
}

/// A command's hold on a deployment.
struct Session {
    base: Base,
    log: OpenLog,
    clock: Clock,
}

impl Session {
    fn open(place: &Place) -> Result<Self, Failure> {
        let config = load(place)?;
        same_user(&config.audit.directory)?;
        let base = Base::open(&config)?;
        let log = base.audit(&config, "admin", LOCK_WAIT_MS)?;
        Ok(Self { base, log, clock: Clock::System })
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Reads.
    fn read<T>(&self, f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<Failure>>) -> Result<T, Failure> {
        self.base.store.read("admin_read", f)
    }

    /// Changes something, recorded before and after: `action` is what, `on` is to whom.
    fn change<T>(&self, action: &str, on: &str, f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<Failure>>) -> Result<T, Failure> {
        let principal = format!("host/uid={}", rustix::process::getuid().as_raw());
        let effect = Effect::of_service(self.log.node, Moment::of(self.now()));
        let record = Record {
            principal: Some(&principal),
            resource: Some(on),
            decision: Some(Verdict::Allowed),
            by: Some("host"),
            ..Record::new(Kind::Admin, effect.request_id(), action)
        };
        self.log.audit.submit(&record).wait().map_err(context("audit"))?;
        let ended = self.base.store.write("admin", |tx| {
            effect.mark(tx)?;
            f(tx).map_err(|abort| match abort {
                Abort::Db(error) => Abort::Db(error),
                Abort::App(failure) => Abort::App(Ended::Refused(failure)),
            })
        });
        let (code, result) = self.settled(&effect, ended);
        let (code, result) = match result {
            Ok(done) => self.stays().map_or_else(|(code, failure)| (code, Err(failure)), |()| (code, Ok(done))),
            failed => (code, failed),
        };
        if let Err(error) = self.log.audit.submit(&Record { code: Some(code), ..record }).wait() {
            // What was made is still shown, as it is shown once; that it was to be made is recorded.
            log::error!("audit: what came of {action} on {on} ({code}) could not be recorded: {error}");
        }
        result
    }

    /// That a change is not put back before the nodes have seen it: whoever writes the database would undo it, and nobody knew.
    fn stays(&self) -> Result<(), (&'static str, Failure)> {
        let begun = Instant::now();
        loop {
            match self.base.store.head() {
                Ok(_) if begun.elapsed() >= STAYS_FOR => return Ok(()),
                Err(error @ StoreError::Corrupt { .. }) => {
                    let reason = format!("the change was made, and the database put back behind it: {error}");
                    alarm::raise(format!("database: {reason}"));
                    let hint =
                        "somebody else writes the database: keep him from it, then look at what there is, and do it once more";
                    return Err(("Undone", Failure::new(reason).hint(hint)));
                }
                Err(error) if begun.elapsed() >= SETTLED_WITHIN => {
                    let reason = format!("database: {error}; the change was made, and whether it stays is not known");
                    let hint = "look at what there is before you do it once more (`bulla … list`)";
                    return Err(("Unknown", Failure::unavailable(reason).hint(hint)));
                }
                _ => std::thread::sleep(STAYS_PAUSE),
            }
        }
    }

    /// What the log says of a change that has ended, and what the command gets. A commit that was cut is asked after.
    fn settled<T>(&self, effect: &Effect, ended: Result<T, Ended>) -> (&'static str, Result<T, Failure>) {
        let cut = match ended {
            Ok(done) => return ("OK", Ok(done)),
            Err(Ended::Refused(failure)) => return ("Failed", Err(failure)),
            Err(Ended::Store(error @ StoreError::Unknown(_))) => error.to_string(),
            Err(Ended::Store(error)) => return ("Failed", Err(context("database")(error))),
        };
        let lost = Instant::now();
        let committed = loop {
            match self.base.store.request_settled(&effect.request_id(), &effect.node(), lost.elapsed()) {
                Ok(Some(committed)) => break Some(committed),
                _ if lost.elapsed() > SETTLED_WITHIN => break None,
                _ => std::thread::sleep(SETTLED_PAUSE),
            }
        };
        let (code, what) = match committed {
            Some(true) => ("OK", "the change was made, and what it made is not known here"),
            Some(false) => ("NotCommitted", "the change was not made"),
            None => ("Unknown", "whether the change was made is not known"),
        };
        let failure = Failure::unavailable(format!("database: {cut}; {what}"));
        let hint = "look at what there is before you do it once more (`bulla … list`)";
        (code, Err(if committed == Some(false) { failure } else { failure.hint(hint) }))
    }

    /// The account that a command is for: the one named, or the only one.
    fn account(&self, scope: &Scope) -> Result<AccountRow, Failure> {
        self.read(|tx| match &scope.account {
            Some(name) => account::find(tx, name),
            None => {
                let mut all = tx.accounts()?;
                match (all.pop(), all.is_empty()) {
                    (Some(only), true) => Ok(only),
                    _ => Err(Abort::App(
                        Failure::new("there are several accounts")
                            .class(Class::Usage)
                            .hint("name one with --account ID or NAME"),
                    )),
                }
            }
        })
    }
}

/// That no server runs on this host's audit folder.
fn unless_served(config: &Config) -> Result<(), Failure> {
    match crate::audit::holder(&config.audit.directory, "audit") {
        None => Ok(()),
        Some(holder) => Err(Failure::conflict(format!("a server runs here (process {holder})"))
            .hint("stop every node first: what they would still write belongs to the state before")),
    }
}

/// That files made here belong to the user that serves: another's command would leave some that the service cannot open.
fn same_user(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt;

    let me = rustix::process::geteuid().as_raw();
    match std::fs::metadata(folder) {
        Ok(found) if found.uid() != me => {
            let (folder, owner) = (folder.display(), found.uid());
            let reason = format!("the audit folder {folder} belongs to uid {owner}, and this is uid {me}");
            Err(Failure::local(reason).hint(format!("run commands as the user that serves: sudo -u '#{owner}' bulla …")))
        }
        // What else may be wrong with it is said when it is opened.
        _ => Ok(()),
    }
}

/// Leaves a transaction because of the state that things are in.
fn refuse(reason: impl Into<String>) -> Abort<Failure> {
    Abort::App(Failure::conflict(reason))
}

/// The value, or the refusal that there is none; `list` is the command that shows what there is.
fn present<T>(value: Option<T>, what: &str, name: impl std::fmt::Display, list: &str) -> Result<T, Abort<Failure>> {
    let missing = || Failure::not_found(format!("no {what} \"{name}\"")).hint(format!("`{list}` shows what there is"));
    value.ok_or_else(|| Abort::App(missing()))
}

/// Success, or the refusal that the name is taken; `hint` says what to do instead.
fn unless_taken(inserted: Result<(), StoreError>, what: &str, hint: &str) -> Result<(), Abort<Failure>> {
    match inserted {
        Err(StoreError::Conflict) => Err(Abort::App(Failure::conflict(format!("{what} exists already")).hint(hint))),
        other => Ok(other?),
    }
}

/// Success, or the refusal that something still depends on it; `hint` says how to end that.
fn unless_needed(deleted: Result<bool, StoreError>, what: &str, hint: &str) -> Result<(), Abort<Failure>> {
    match deleted {
        Err(StoreError::Conflict) => Err(Abort::App(Failure::conflict(format!("{what} is still in use")).hint(hint))),
        Err(other) => Err(other.into()),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_and_not_shown_is_named_with_the_way_back() {
        let lost = Failure::local("standard output: No space left on device");
        for (row, hint) in [
            (
                Output::row([("AccountId", "1".into()), ("AccessKeyId", "BLLA1".into()), ("AccessKeySecret", "s3cret".into())]),
                "`bulla access-key delete BLLA1 --account 1`",
            ),
            (Output::row([("AccessKeyId", "BLLA1".into()), ("AccessKeySecret", "s3cret".into())]), "delete BLLA1`"),
            (Output::row([("Token", "s3cret".into()), ("Accessor", "a1".into())]), "`bulla token revoke a1`"),
            (Output::row([("UserName", "ann".into()), ("Enabled", true.into())]), "`bulla user show ann`"),
        ] {
            let told = made_unheard(&lost, &Output::One(row));
            assert_eq!(told.class, Class::Local);
            assert!(told.reason.contains("done, but") && told.reason.ends_with(&lost.reason), "{told}");
            assert!(told.hint.is_some_and(|told| told.contains(hint) && !told.contains("s3cret")), "{hint}");
        }
    }
}
