//! Secrets: named values, each version sealed under its own data key.
//!
//! Owns: the life of a secret and of its versions, stages and deletion window. Must not know: HTTP, PKCS#11, SQL.
//! Called by: api, jobs.

mod account;
mod adopt;
mod create;
mod delete;
mod describe;
mod extended_config;
mod find;
mod level;
mod numbered;
mod password;
mod policy;
mod put;
mod rotation;
mod rotation_policy;
mod server_failure;
mod stage;
mod stages;
mod tags;
mod update;
mod value;
mod version;

use std::sync::Arc;

pub use adopt::NewManaged;
pub use create::NewSecret;
pub use delete::Deletion;
pub use describe::SecretDescription;
pub use extended_config::{MAX_CUSTOM_DATA_ENTRIES, MAX_EXTENDED_CONFIG_CHARS};
pub use numbered::{Added, NumberedValue, NumberedVersions, Put, VersionFacts, Which, Withheld};
pub use password::{Class, PasswordRules};
use rotation::under_way::Rotations;
pub use rotation_policy::Rotation;
pub use stage::{ListedVersion, Move};
pub use stages::MOST_VERSIONS;
pub use update::Changes;
pub use value::Selector;
pub use version::{NewVersion, identity, open_with};

use crate::base::ids::{DeploymentId, Region};
use crate::keys::Keys;
use crate::servers::Servers;
use crate::service_task::ServiceTasks;
use crate::store::Store;

/// What the secrets of a deployment are made of.
pub struct SecretParts {
    /// Where their rows are.
    pub store: Arc<Store>,
    /// What they are sealed under.
    pub keys: Arc<Keys>,
    /// Records what the service does with them of its own accord.
    pub service_tasks: Arc<ServiceTasks>,
    /// The installation that values are bound to.
    pub deployment: DeploymentId,
    /// Its region.
    pub region: Region,
    /// Secrets of an account at most; none is no bound.
    pub quota: Option<u32>,
    /// The servers whose accounts managed secrets may hold.
    pub servers: Servers,
}

/// The secrets of a deployment.
pub struct Secrets {
    store: Arc<Store>,
    keys: Arc<Keys>,
    service_tasks: Arc<ServiceTasks>,
    deployment: DeploymentId,
    region: Region,
    quota: Option<u32>,
    servers: Servers,
    rotations: Rotations,
}

impl Secrets {
    /// The secrets over these parts.
    pub fn new(parts: SecretParts) -> Self {
        let SecretParts { store, keys, service_tasks, deployment, region, quota, servers } = parts;
        Self { store, keys, service_tasks, deployment, region, quota, servers, rotations: Rotations::default() }
    }
}
