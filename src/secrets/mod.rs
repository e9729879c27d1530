//! Secrets: named values, each version sealed under its own data key.
//!
//! Owns: the life of a secret and of its versions, stages and deletion window. Must not know: HTTP, PKCS#11, SQL.
//! Called by: api, jobs.

mod create;
mod delete;
mod describe;
mod password;
mod policy;
mod tags;
mod value;

use std::sync::Arc;

pub use create::NewSecret;
pub use delete::Deletion;
pub use describe::{Described, SecretPage};
pub use password::{Class, PasswordRules};
pub use value::{Selector, Value};

use crate::clock::{Clock, Timestamp};
use crate::envelope::Identity;
use crate::errand::Errands;
use crate::error::Error;
use crate::ids::{AccountId, DeploymentId, KeyId, KeyVersionId, Region, SecretRef, SecretVersionUuid, VersionId};
use crate::keys::Keys;
use crate::kinds::{DataType, Suite};
use crate::store::{Abort, SecretRow, Store, Tx};

/// The secrets of a deployment.
pub struct Secrets {
    store: Arc<Store>,
    keys: Arc<Keys>,
    errands: Arc<Errands>,
    clock: Clock,
    deployment: DeploymentId,
    region: Region,
    quota: Option<u32>,
}

impl Secrets {
    /// The secrets of this store, sealed under these keys; `quota` bounds the secrets of an account.
    pub fn new(
        store: Arc<Store>,
        keys: Arc<Keys>,
        errands: Arc<Errands>,
        clock: Clock,
        deployment: DeploymentId,
        region: Region,
        quota: Option<u32>,
    ) -> Self {
        Self { store, keys, errands, clock, deployment, region, quota }
    }

    /// What a version is bound to.
    fn identity<'a>(&'a self, secret: &'a SecretRow, version: &'a Version<'a>) -> Identity<'a> {
        Identity {
            deployment: &self.deployment,
            account: &secret.account_id,
            region: &self.region,
            secret: &secret.id,
            name: &secret.name,
            version_uuid: version.uuid,
            version: version.id,
            data_type: version.data_type,
            created_at: version.created_at,
            key: version.key,
            key_version: version.key_version,
            suite: version.suite,
        }
    }
}

/// The facts of a version that its envelope is bound to.
struct Version<'a> {
    uuid: &'a SecretVersionUuid,
    id: &'a VersionId,
    data_type: DataType,
    created_at: Timestamp,
    key: &'a KeyId,
    key_version: &'a KeyVersionId,
    suite: Suite,
}

/// Where a secret stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// In use.
    Live,
    /// Deleted, and can be restored until this time.
    Window(Timestamp),
    /// Its window is over; the row is only waiting to be removed.
    Gone,
}

fn life(secret: &SecretRow, now: Timestamp) -> Life {
    match secret.delete_at {
        None => Life::Live,
        Some(at) if at > now => Life::Window(at),
        Some(_) => Life::Gone,
    }
}

/// The secret that a caller names, in its window or not.
fn find(
    tx: &mut Tx<'_>,
    account: &AccountId,
    here: bool,
    secret: &SecretRef,
    now: Timestamp,
) -> Result<SecretRow, Abort<Error>> {
    if !here {
        return Err(Abort::App(Error::SecretNotFound));
    }
    tx.secret_by_name(account, &secret.name)?.filter(|s| life(s, now) != Life::Gone).ok_or(Abort::App(Error::SecretNotFound))
}
