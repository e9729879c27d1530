//! Every stored value, opened: each data key unwrapped on the token, and what it protects decrypted and forgotten.
//!
//! Owns: that look at all versions of all secrets. Must not know: what else a proof looks at. Called by: admin::verify.

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::thread;

use crate::app::{Base, Failure, context};
use crate::base::ids::KeyVersionId;
use crate::base::words::Origin;
use crate::output::progress::Progress;
use crate::secrets::{identity, open_with};
use crate::store::{SecretRow, VersionRow};
use crate::token::TokenError;

/// Versions that are read at a time.
const PAGE: i64 = 256;

/// What came of it.
#[derive(Default)]
pub(super) struct Opened {
    /// Versions whose value opened.
    pub opened: u64,
    /// Versions under imported material that the token does not hold now.
    pub without_material: u64,
    /// What does not open, each with its reason.
    pub flaws: Vec<String>,
}

/// One version.
enum Found {
    Open,
    WithoutMaterial,
    Flaw(String),
}

/// What the versions are opened with.
struct Opener<'a> {
    base: &'a Base,
    /// All objects of the token. Who asks it for one that is not there has it look again, which stops all sessions.
    held: HashSet<KeyVersionId>,
    /// Key versions that should have an object and have none.
    lost: &'a [KeyVersionId],
}

/// Opens all that is not destroyed, as many at a time as there are sessions. `lost`: key versions that are known to have lost their object.
pub(super) fn open_all(base: &Base, lost: &[KeyVersionId], sessions: usize) -> Result<Opened, Failure> {
    let opener = Opener { base, held: base.token.ids().map_err(context("token"))?, lost };
    let all = base.store.read_rows("versions_in_all", |tx| tx.versions_in_all()).map_err(context("database"))?;
    let progress = Progress::new("opened", usize::try_from(all).unwrap_or(usize::MAX));
    let (mut total, mut last) = (Opened::default(), None);
    loop {
        let page = base.store.read_rows("versions_behind", |tx| tx.versions_behind(last.as_ref(), PAGE));
        let page = page.map_err(context("database"))?;
        let Some((_, version)) = page.last() else { break };
        last = Some((version.secret_id, version.version_id.clone()));
        let part = page.len().div_ceil(sessions.max(1));
        let found = thread::scope(|scope| {
            let parts: Vec<_> = page.chunks(part).map(|part| scope.spawn(|| opener.open_part(part))).collect();
            let parts = parts.into_iter().map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic)));
            parts.collect::<Result<Vec<_>, _>>()
        })?;
        for found in found.into_iter().flatten() {
            match found {
                Found::Open => total.opened += 1,
                Found::WithoutMaterial => total.without_material += 1,
                Found::Flaw(flaw) => total.flaws.push(flaw),
            }
        }
        progress.more(page.len());
    }
    progress.end();
    Ok(total)
}

impl Opener<'_> {
    fn open_part(&self, part: &[(Option<SecretRow>, VersionRow)]) -> Result<Vec<Found>, Failure> {
        let there = part.iter().filter(|(_, version)| !version.destroyed);
        let there = there.filter_map(|(secret, version)| secret.as_ref().map(|secret| (secret, version)));
        there.map(|(secret, version)| self.open(secret, version)).collect()
    }

    fn open(&self, secret: &SecretRow, version: &VersionRow) -> Result<Found, Failure> {
        let subject = || format!("version {} of secret {} of {}", version.version_id, secret.name, secret.account_id);
        let flaw = |what: String| Ok(Found::Flaw(format!("{}: {what}", subject())));
        let under = &version.key_version_id;
        if self.lost.contains(under) {
            return flaw(format!("key version {under} has no object"));
        }
        if !self.held.contains(under) {
            let key = self.base.store.read_rows("key", |tx| tx.key_by_id(&secret.key_id)).map_err(context("database"))?;
            if key.is_some_and(|key| key.origin == Origin::External) {
                return Ok(Found::WithoutMaterial);
            }
        }
        let deployment = &self.base.deployment;
        let identity = identity(&deployment.id, &deployment.region, secret, version);
        let data_key_context = identity.data_key_context();
        match self.base.token.unwrap_data_key(version.suite, under, &version.wrapped, &data_key_context) {
            Ok(data_key) => match open_with(&identity, data_key, version) {
                Ok(_) => Ok(Found::Open),
                Err(_) => flaw("its value is not what its data key sealed".to_owned()),
            },
            Err(TokenError::Tampered) => flaw("its data key does not open".to_owned()),
            Err(error @ (TokenError::NoSuchKey(_) | TokenError::Unsupported(_))) => flaw(error.to_string()),
            Err(error) => Err(context(subject())(error)),
        }
    }
}
