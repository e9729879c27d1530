//! `bulla check`: whether a server would start, and what is wrong if not.

use crate::admin::output::Output;
use crate::app::{Base, Failure, context, none_pending, servers};
use crate::base::ids::KeyVersionId;
use crate::config::Config;
use crate::keys::mismatch;
use crate::store::migrate;
use crate::token::{CanaryKey, ObjectKind};

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
    let steps = system_keys(&base)?;
    let described = base.token.description().map_err(context("token"))?;
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
        ("TokenMakesKeys", base.token.may_write().map_err(context("token"))?.into()),
        ("TokenObjects", described.objects.into()),
        ("TokenFreePrivateBytes", described.token.free_private.into()),
        ("TokenFreePublicBytes", described.token.free_public.into()),
        ("Suite", suite.name().into()),
        ("RowMacRoot", steps.root.into()),
        ("AuditSignature", steps.audit.into()),
        ("SelfTestKey", steps.canary.into()),
        ("AttributesLeftOut", described.left_out.clone().into()),
        ("ObjectsWithoutRow", list(&mismatch.without_row)),
        ("VersionsWithoutObject", list(&mismatch.without_object)),
        ("HalfMade", list(&mismatch.half_made)),
        ("Database", "answers, with the schema of this program".into()),
        ("Audit", "folder can be written".into()),
        ("ManagedServers", servers.iter().count().into()),
    ]))
}

/// Which step of what it may be each part of the deployment stands on; docs/security.md says what the steps mean.
pub(super) struct Steps {
    pub(super) root: String,
    pub(super) audit: String,
    pub(super) canary: &'static str,
}

/// Proves the system keys by their attributes and labels, and says what they are.
pub(super) fn system_keys(base: &Base) -> Result<Steps, Failure> {
    let row = &base.deployment;
    let of = |name: &str, id: &KeyVersionId, kind| {
        let found = base.token.prove_system_key(id, kind).and_then(|()| base.token.inspect(id));
        let objects = found.map_err(context(format!("token: system key {name} ({id})")))?;
        let key_type = objects.iter().find_map(|object| object.attributes.get("CKA_KEY_TYPE").cloned());
        Ok::<_, Failure>(key_type.unwrap_or_default())
    };
    of("SYS", &row.sys_key, ObjectKind::Sys)?;
    let canary = match base.token.description().map_err(context("token"))?.canary {
        CanaryKey::Session => "a key of the session",
        CanaryKey::Object => "an object of its own",
        CanaryKey::SystemKey => "SYS: this user makes no keys",
    };
    Ok(Steps { root: of("INT", &row.int_key, ObjectKind::Int)?, audit: of("AUD", &row.aud_key, ObjectKind::Aud)?, canary })
}

fn list(ids: &[KeyVersionId]) -> serde_json::Value {
    ids.iter().map(KeyVersionId::to_string).collect::<Vec<_>>().into()
}
