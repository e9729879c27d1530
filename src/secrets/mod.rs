//! Secrets: named values, each version sealed under its own data key.
//!
//! Owns: the life of a secret and of its versions, stages and deletion window. Must not know: HTTP, PKCS#11, SQL.
//! Called by: api, jobs.

mod account;
mod create;
mod delete;
mod describe;
mod managed;
mod password;
mod policy;
mod put;
mod rotation;
mod stage;
mod stages;
mod tags;
mod update;
mod value;
mod version;

use std::sync::Arc;

pub use create::NewSecret;
pub use delete::Deletion;
pub use describe::{Described, SecretPage};
pub use managed::{LONGEST_CONFIG, MOST_ENTRIES, NewManaged, Rotation};
pub use password::{Class, PasswordRules};
pub use rotation::Due;
use rotation::Rotations;
pub use stage::{Listed, Move};
pub use update::Changes;
pub use value::{Selector, Value};
pub use version::{NewVersion, identity};

use crate::auth::Caller;
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::{DeploymentId, Region, SecretRef};
use crate::base::words::SecretType;
use crate::error::Error;
use crate::keys::Keys;
use crate::servers::Servers;
use crate::store::Sealed;
use crate::store::{Abort, SecretRow, Store, Tx, held};

/// The secrets of a deployment.
pub struct Secrets {
    store: Arc<Store>,
    keys: Arc<Keys>,
    clock: Clock,
    deployment: DeploymentId,
    region: Region,
    quota: Option<u32>,
    servers: Servers,
    rotations: Rotations,
}

impl Secrets {
    /// The secrets of this store, sealed under these keys; `quota` bounds the secrets of an account, `servers` are those whose
    /// accounts managed secrets may hold.
    pub fn new(
        store: Arc<Store>,
        keys: Arc<Keys>,
        clock: Clock,
        deployment: DeploymentId,
        region: Region,
        quota: Option<u32>,
        servers: Servers,
    ) -> Self {
        Self { store, keys, clock, deployment, region, quota, servers, rotations: Rotations::default() }
    }
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
fn find(tx: &mut Tx<'_>, caller: &Caller, secret: &SecretRef, now: Timestamp) -> Result<SecretRow, Abort<Error>> {
    if !caller.at_home(secret.home.as_ref()) {
        return Err(Abort::App(Error::SecretNotFound));
    }
    let found = tx.secret_by_name(&caller.account, &secret.name)?;
    found.filter(|s| life(s, now) != Life::Gone).ok_or(Abort::App(Error::SecretNotFound))
}

/// The secret that a caller names, if it is in use.
fn find_live(tx: &mut Tx<'_>, caller: &Caller, secret: &SecretRef, now: Timestamp) -> Result<SecretRow, Abort<Error>> {
    let found = find(tx, caller, secret, now)?;
    if life(&found, now) == Life::Live { Ok(found) } else { Err(Abort::App(Error::SecretInDeleteWindow)) }
}

/// Refuses secrets whose versions and labels the service manages.
fn only_generic(secret: &SecretRow) -> Result<(), Abort<Error>> {
    if secret.secret_type == SecretType::Generic { Ok(()) } else { Err(Abort::App(Error::UnsupportedOperation)) }
}

/// Records that a secret has changed now.
fn touch(tx: &mut Tx<'_>, secret: &SecretRow, now: Timestamp) -> Result<(), Abort<Error>> {
    let changed = SecretRow { updated_at: now, ..secret.clone() };
    Ok(held(tx.secret_update(secret, &changed)?, SecretRow::TABLE)?)
}
