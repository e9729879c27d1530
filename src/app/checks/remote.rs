//! What is looked at on the token and in the database, and opened for whoever goes on.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::{Found, Opened};
use crate::app::base::{Base, url_of};
use crate::app::node::known_node;
use crate::app::settings::servers;
use crate::app::start_retry::StartRetry;
use crate::app::steps::Steps;
use crate::app::token as tokens;
use crate::base::clock::Clock;
use crate::base::clock_check;
use crate::base::failure::{Failure, Reason, context};
use crate::config::Config;
use crate::keys;
use crate::logins::Speaks;
use crate::store::{self, deployment as deployments, migrate, privileges};
use crate::token::{TokenError, softhsm};

/// What makes a database out of nothing.
const FIRST_MIGRATION: &str = "0001_init";

/// The URL of the database, in which nothing is wrong that could be told without asking for it.
///
/// # Errors
/// `Local`, with what would be right.
pub fn database_url(config: &Config) -> Result<String, Failure> {
    let local = |e: &dyn std::fmt::Display| Failure::local(e.to_string());
    let url = config.database.location().map_err(|e| local(&e))?;
    store::check_url(&url).map_err(|e| local(&e).hint("sqlite:PATH, or postgresql://HOST/DATABASE?sslmode=verify-full"))?;
    if let Some(folder) = url.strip_prefix("sqlite:").and_then(|path| Path::new(path).parent())
        && !folder.is_dir()
    {
        let failure = Failure::local(format!("database: folder {} does not exist", folder.display()));
        return Err(failure.hint("make it for the user that serves, with mode 0700"));
    }
    Ok(url)
}

pub(super) fn database(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let whole = opened.config;
    let config = &whole.database;
    database_url(whole)?;
    let pending = opened.retry.until("database", || migrate::pending(&url_of(whole)?))?;
    match pending.as_slice() {
        [] => {
            let unknown = opened.retry.until("database", || migrate::unknown(&url_of(whole)?))?;
            if unknown.is_empty() {
                return Ok(Found::Fine("answers, with the schema of this program".to_owned()));
            }
            let found =
                format!("migrations that this program does not have: {}; of tables only keys are compared", unknown.join(", "));
            Ok(Found::Odd(found, "run the newer program; where there is none, somebody else wrote them".to_owned()))
        }
        [first, ..]
            if first == FIRST_MIGRATION && opened.retry.until("database", || migrate::has_tables(&url_of(whole)?))? =>
        {
            let hint =
                "rows of __diesel_schema_migrations were deleted; put the right database back (docs/operations.md, Backup)";
            Err(Failure::new("database: its tables are there, and its list of migrations is gone").hint(hint))
        }
        [first, ..] if first == FIRST_MIGRATION => {
            Err(Failure::local("database: it is empty").hint("`bulla init` makes a deployment in it"))
        }
        names if config.migrate_at_start && opened.retry == StartRetry::Server => {
            for name in opened.retry.until("database", || migrate::run(&url_of(whole)?))? {
                log::info!("migration {name} applied");
            }
            Ok(Found::Fine(format!("migrated: {}", names.join(", "))))
        }
        names if config.migrate_at_start => {
            Ok(Found::Odd(format!("a start will apply {}", names.join(", ")), "or run `bulla migrate` before".to_owned()))
        }
        names => Err(Failure::local(format!("database: pending migrations {}", names.join(", ")))
            .hint("`bulla migrate` brings the schema to this program's version")),
    }
}

/// That the role may do all that a running service does.
pub(super) fn rights(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    if opened.deployment.is_none() {
        return Ok(Found::Unseen("the deployment"));
    }
    let lacking = opened.retry.until("database", || privileges::lacking(&url_of(opened.config)?))?;
    if lacking.is_empty() {
        return Ok(Found::Fine("SELECT, INSERT, UPDATE and DELETE on every table".to_owned()));
    }
    let failure = Failure::new(format!("database: the role lacks {}", lacking.join("; ")));
    Err(failure.hint("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO the role of the URL"))
}

/// That the server has room for all connections of this node and of those that run beside it, were they set as this one is.
pub(super) fn connections(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let Some(base) = &opened.base else { return Ok(Found::Unseen("the row key")) };
    let Some(room) = opened.retry.until("database", || store::server_room(&url_of(opened.config)?))? else {
        return Ok(Found::Fine("as many as are set; a file has no server".to_owned()));
    };
    let this = known_node(&opened.config.audit.directory)?;
    let now = Clock::System.now();
    let nodes = base.store.read_rows("nodes", |tx| tx.nodes())?;
    let others = nodes.iter().filter(|node| node.runs(now) && Some(node.id) != this).count();
    Ok(fit(room, opened.config.database.connections, others + 1))
}

fn fit(room: i64, each: u32, nodes: usize) -> Found {
    let wanted = i64::from(each).saturating_mul(i64::try_from(nodes).unwrap_or(i64::MAX));
    if wanted <= room {
        return Found::Fine(format!("{wanted} of {room} that the server has, for {nodes} nodes"));
    }
    let found = format!(
        "the server has {room} (max_connections without those reserved), and {nodes} nodes with database.connections = {each} may \
         want {wanted}"
    );
    Found::Odd(found, "raise max_connections of PostgreSQL, or set a lower database.connections".to_owned())
}

/// That this machine's clock is near the database's: a running server does nothing that cannot be undone while it is not.
pub(super) fn clock(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let Some(base) = &opened.base else { return Ok(Found::Unseen("the row key")) };
    let asked = Instant::now();
    let said = base.store.health().map_err(context("database"))?;
    let (now, took) = (Clock::System.now(), asked.elapsed());
    let Some(said) = said else { return Ok(Found::Fine("has no other beside it; a file has no clock".to_owned())) };
    let half = i64::try_from(took.as_millis() / 2).unwrap_or(0);
    Ok(compared(now.0 - half - said.0))
}

/// Of a clock that is so much ahead of the database's, ms.
fn compared(ahead: i64) -> Found {
    match clock_check::apart(ahead) {
        None => Found::Fine("agrees with the database's".to_owned()),
        Some(apart) => {
            let hint = "set the wrong one right (NTP on both): until then deletions, rotations and the removal of nonces wait";
            Found::Odd(format!("it is {apart}"), hint.to_owned())
        }
    }
}

pub(super) fn deployment(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let config = opened.config;
    if opened.retry == StartRetry::Command
        && !url_of(config).and_then(|url| migrate::pending(&url)).is_ok_and(|pending| pending.is_empty())
    {
        return Ok(Found::Unseen("the database"));
    }
    let row = opened.retry.until("database", || deployments::read(&url_of(config)?))?.filter(|row| row.ready);
    let row = row.ok_or_else(|| {
        Failure::local("database: not initialised").hint("`bulla init` makes the system keys and the first account")
    })?;
    if row.region != config.region {
        let failure = Failure::local(format!("region is {} here and was {} at `bulla init`", config.region, row.region));
        return Err(failure.hint("ARNs name the region, so it cannot change; set it back"));
    }
    let told = format!("{} in {}", row.id, row.region);
    opened.deployment = Some(row);
    Ok(Found::Fine(told))
}

pub(super) fn token(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let opener = match opened.retry {
        StartRetry::Server => tokens::Opener::Server,
        StartRetry::Command => tokens::Opener::Command,
    };
    let softhsm = opened.config.token.module.to_string_lossy().contains("softhsm");
    let left_out = opened.deployment.as_ref().map_or("", |row| &row.left_out);
    let token = tokens::open(opened.config, opener, left_out).map_err(|failure| match &failure.hint {
        None if softhsm && ["no token", "C_Initialize"].into_iter().any(|what| failure.reason.contains(what)) => {
            let variable = softhsm::CONF_VARIABLE;
            let set = std::env::var(variable).map_or("is not set".to_owned(), |value| format!("is {value}"));
            failure.hint(format!(
                "SoftHSM finds its tokens through ${variable}, which {set}; a folder of `bulla dev` has its softhsm2.conf: name the \
                 folder with --data"
            ))
        }
        _ => failure,
    })?;
    token.health().map_err(context("token"))?;
    opened.token = Some(Arc::new(token));
    Ok(Found::Fine("answers".to_owned()))
}

pub(super) fn row_key(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let Some(deployment) = opened.deployment.clone() else { return Ok(Found::Unseen("the deployment")) };
    let Some(token) = opened.token.take() else { return Ok(Found::Unseen("the token")) };
    let base = Base::build(opened.config, token, deployment, opened.retry)?;
    base.store.health().map_err(context("database"))?;
    opened.base = Some(base);
    Ok(Found::Fine("is derived, and rows can be verified".to_owned()))
}

pub(super) fn system_keys(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let Some(deployment) = &opened.deployment else { return Ok(Found::Unseen("the deployment")) };
    let Some(token) = &opened.token else { return Ok(Found::Unseen("the token")) };
    crate::app::system_keys::prove_system_keys(token, deployment).map_err(|failure| match failure.hint {
        None => failure.hint("the token is not the one of this database, or an older copy of it"),
        Some(_) => failure,
    })?;
    if let Some(id) = deployment.spare_row_key {
        let found =
            format!("SYS, INT, AUD and ROW are there; a `bulla rekey` has not come to its end, and has left the row key {id}");
        return Ok(Found::Odd(found, "the next start of a server destroys it, or `bulla rekey --accept` once more".to_owned()));
    }
    Ok(Found::Fine("SYS, INT, AUD and ROW are there".to_owned()))
}

pub(super) fn freshness(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let Some(base) = &opened.base else { return Ok(Found::Unseen("the row key")) };
    base.require_freshness(opened.config)?;
    Ok(Found::Fine("the database is no older than the token, its own rows and this host's logs know it".to_owned()))
}

/// That the token lets its user make keys and destroy them. A node whose user may not serves all else.
pub(super) fn making_keys(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let Some(base) = &opened.base else { return Ok(Found::Unseen("the row key")) };
    let refused = match base.token.try_making() {
        Ok(()) => return Ok(Found::Fine("the token's user makes and destroys them".to_owned())),
        Err(
            refused @ (TokenError::MayNotMake(_)
            | TokenError::MayNotDestroy(_)
            | TokenError::KeepsNothing(_)
            | TokenError::Unsupported(_)
            | TokenError::Full),
        ) => refused,
        Err(error) => return Err(context("token")(error)),
    };
    let hint = refused.hint().unwrap_or_default();
    let found = format!(
        "{refused}: new keys, their versions and imports are refused here, rotation and destruction left to other nodes"
    );
    Ok(Found::Odd(found, hint.to_owned()))
}

pub(super) fn suite(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let Some(Base { token, deployment, .. }) = &opened.base else { return Ok(Found::Unseen("the row key")) };
    let suite = token.probe().map_err(context("token"))?;
    if suite != deployment.suite {
        let failure = Failure::new("token: it no longer serves the suite that was found at `bulla init`");
        return Err(failure.hint("its firmware or its policy was changed: set that back as its vendor says"));
    }
    match token.spare_test_keys().map_err(context("token"))? {
        0 => Ok(Found::Fine(suite.name().to_owned())),
        spare => Ok(Found::Odd(
            format!(
                "{}; {spare} objects \"bulla canary\" too many: processes that logged in at the same time made one each",
                suite.name()
            ),
            "while nothing serves, destroy all but one of each CKA_ID with the vendor's tools; none holds data".to_owned(),
        )),
    }
}

/// Which step of what it may be each part stands on.
pub(super) fn steps(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let Some(Base { token, deployment, .. }) = &opened.base else { return Ok(Found::Unseen("the row key")) };
    let steps = Steps::of(token, deployment)?;
    let (found, more) = (steps.to_string(), steps.refused_since().join(", "));
    opened.steps = Some(steps);
    if more.is_empty() {
        return Ok(Found::Fine(found));
    }
    let hint = format!(
        "its firmware or its policy was changed since `bulla init`; keys are made without {more} all the same, and read back, but each \
         process finds that anew"
    );
    Ok(Found::Odd(found, hint))
}

pub(super) fn keys(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let Some(base) = &opened.base else { return Ok(Found::Unseen("the row key")) };
    let system = base.deployment.objects();
    let found = keys::mismatch(&base.token, &base.store, &system)
        .map_err(|e| Failure::unavailable(format!("token and database cannot be compared: {e:?}")))?;
    let mut lost = Vec::new();
    for version in &found.without_object {
        lost.push(base.store.read_rows("lost", |tx| {
            let Some(row) = tx.key_version_by_id(version)? else { return Ok(version.to_string()) };
            let aliases: Vec<String> =
                tx.aliases_of_key(&row.key_id)?.into_iter().take(10).map(|alias| alias.name.to_string()).collect();
            let secrets = tx.secret_count_under(&row.key_id)?;
            let named = if aliases.is_empty() { String::new() } else { format!(" ({})", aliases.join(", ")) };
            Ok(format!("key {}{named}, version {version}, {secrets} secrets under it", row.key_id))
        })?);
    }
    let (unknown, half) = (found.without_row.len(), found.half_made.len());
    opened.mismatch = Some(found);
    if !lost.is_empty() {
        let failure =
            Failure::new(format!("what these encrypted cannot be read, they are not on the token: {}", lost.join("; ")));
        return Err(failure.hint("restore the token's backup of the time of the database, or a later one"));
    }
    if unknown > 0 {
        let hint = "objects of another deployment, or of a database that is newer than this one; they are not touched";
        return Ok(Found::Odd(format!("{unknown} objects on the token have no row"), hint.to_owned()));
    }
    Ok(Found::Fine(format!("every version is on the token; {half} half made")))
}

pub(super) fn logins(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let Ok(servers) = servers(opened.config) else { return Ok(Found::Unseen("the managed servers")) };
    let servers = servers.all();
    for (id, server) in &servers {
        server.health().map_err(|e| Failure::unavailable(format!("rotation.instance {id}: {e}")))?;
    }
    Ok(Found::Fine(format!("{} let their administrators in", servers.len())))
}

/// That issuers give their keys, and that the users of logins are there.
pub(super) fn issuers(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let Some(logins) = &opened.logins else { return Ok(Found::Unseen("the logins")) };
    let Some(base) = &opened.base else { return Ok(Found::Unseen("the row key")) };
    let mut absent = Vec::new();
    for (login, Speaks { account, user }) in logins.speaks() {
        let there = base.store.read_rows("login_user", |tx| Ok(tx.user_by_name(&account, &user)?.is_some()))?;
        if !there {
            absent.push(format!("{login} speaks for user {user} of account {account}, which is not there"));
        }
    }
    let (mut told, mut failed) = (Vec::new(), Vec::new());
    for (mount, keys) in logins.health() {
        match keys {
            Ok(count) => told.push(format!("auth/{mount}: {count} keys")),
            Err(reason) => failed.push(format!("auth/{mount}: {reason}")),
        }
    }
    if !failed.is_empty() {
        failed.append(&mut absent);
        return Err(Failure::unavailable(failed.join("; ")));
    }
    if !absent.is_empty() {
        let hint = "`bulla user create` makes it; `bulla user list` shows which there are";
        return Ok(Found::Odd(absent.join("; "), hint.to_owned()));
    }
    Ok(Found::Fine(if told.is_empty() { "none".to_owned() } else { told.join("; ") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_may_want_more_connections_than_there_are_deserve_a_warning() {
        assert!(matches!(fit(97, 8, 12), Found::Fine(told) if told == "96 of 97 that the server has, for 12 nodes"));
        assert!(matches!(fit(97, 97, 1), Found::Fine(_)));
        let Found::Odd(found, hint) = fit(97, 8, 13) else { panic!("104 do not fit into 97") };
        assert!(found.contains("has 97") && found.contains("13 nodes") && found.contains("want 104"), "{found}");
        assert!(hint.contains("max_connections"), "{hint}");
    }

    #[test]
    fn a_clock_that_is_far_from_the_databases_deserves_a_warning() {
        assert!(matches!(compared(29_000), Found::Fine(_)) && matches!(compared(-29_000), Found::Fine(_)));
        for (ahead, told) in [(31_000, "it is 31 s ahead of the database's clock"), (-300_000, "it is 5 min behind")] {
            let Found::Odd(found, hint) = compared(ahead) else { panic!("{ahead} ms are too much") };
            assert!(found.starts_with(told) && hint.contains("NTP"), "{found}; {hint}");
        }
    }
}
