//! `bulla check`: whether a server would start, and what is wrong if not.

use crate::admin::output::Output;
use crate::app::{Base, Failure, context, none_pending, servers};
use crate::base::ids::KeyVersionId;
use crate::config::Config;
use crate::keys::mismatch;
use crate::store::migrate;

/// Runs the command: tries one thing after the other and stops at the first that is wrong.
pub fn run(config: &Config) -> Result<Output, Failure> {
    let pending = migrate::pending(&config.database.location()?).map_err(context("database"))?;
    if !config.database.migrate_at_start {
        none_pending(&pending)?;
    }
    let base = Base::open(config)?;
    base.token.health().map_err(context("token"))?;
    let suite = base.token.probe().map_err(context("token"))?;
    if suite != base.deployment.suite {
        return Err(Failure::new("token: it no longer serves the suite that was found at `bulla init`"));
    }
    for (name, id) in [("SYS", base.deployment.sys_key), ("INT", base.deployment.int_key), ("AUD", base.deployment.aud_key)] {
        if !base.token.exists(&id).map_err(context("token"))? {
            return Err(Failure::new(format!("token: system key {name} ({id}) is not there")));
        }
    }
    let mismatch = mismatch(&base.token, &base.store, &base.deployment.system_keys())
        .map_err(|e| Failure::new(format!("token and database cannot be compared: {e:?}")))?;
    base.store.health().map_err(context("database"))?;
    let folder = &config.audit.directory;
    tempfile::tempfile_in(folder).map_err(context(format!("audit folder {}", folder.display())))?;
    let servers = servers(config)?;
    for (id, server) in servers.iter() {
        server.health().map_err(context(format!("rotation.instance {id}")))?;
    }
    Ok(Output::one([
        ("Deployment", base.deployment.id.to_string().into()),
        ("Region", base.deployment.region.to_string().into()),
        ("Token", "answers, with all system keys".into()),
        ("ObjectsWithoutRow", list(&mismatch.without_row)),
        ("VersionsWithoutObject", list(&mismatch.without_object)),
        ("HalfMade", list(&mismatch.half_made)),
        ("Database", "answers, with the schema of this program".into()),
        ("Audit", "folder can be written".into()),
        ("ManagedServers", servers.iter().count().into()),
    ]))
}

fn list(ids: &[KeyVersionId]) -> serde_json::Value {
    ids.iter().map(KeyVersionId::to_string).collect::<Vec<_>>().into()
}
