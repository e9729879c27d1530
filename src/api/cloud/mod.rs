//! Operations on what a cloud has around its service: regions, accounts' contracts, instances, networks, enclaves.
//!
//! Owns: the answers of a service that stands on its own, and the table of operations that it has no resource for.
//! Must not know: keys, secrets.

pub mod describe_account_kms_status;
pub mod describe_regions;
pub mod open_kms_service;

use crate::api::service::{Exchange, Handler};
use crate::api::{Resource, Target};
use crate::error::Error;
use crate::wire::params::Params;

/// What the refusals name.
const INSTANCE: &str = "KMS instance: keys are on the token of this deployment, in one place for all accounts";
const ENCLAVE: &str = "enclave attestation";
const MANAGED_DATA_KEY: &str = "managed data key";

/// Operations whose resource is missing here, by name, and what is missing. They answer `UnsupportedOperation` to whoever has the
/// permission.
pub(super) const LACKING: &[(&str, &str)] = &[
    ("ConnectKmsInstance", INSTANCE),
    ("GetChallenge", ENCLAVE),
    ("GetDefaultKmsInstance", INSTANCE),
    ("GetKmsInstance", INSTANCE),
    ("GetKmsInstanceQuotaInfos", INSTANCE),
    ("GetManagedDataKey", MANAGED_DATA_KEY),
    ("ListKmsInstances", INSTANCE),
    ("ListManagedDataKeyVersions", MANAGED_DATA_KEY),
    ("ReleaseKmsInstance", INSTANCE),
    ("UpdateKmsInstanceBindVpc", INSTANCE),
];

/// The operation of this name, if it is one of [`LACKING`].
pub(super) fn find(action: &str) -> Option<(&'static str, Handler)> {
    LACKING.binary_search_by_key(&action, |(name, _)| name).ok().map(|index| (LACKING[index].0, refuse as Handler))
}

/// Refuses an operation of [`LACKING`], after the permission: a caller without it learns nothing.
fn refuse(exchange: &Exchange<'_>, _: &Params) -> Result<Vec<u8>, Error> {
    let action = exchange.action();
    exchange.authorise(&exchange.context(), &format!("kms:{action}"), Target::of(Resource::Everything))?;
    let what = LACKING.iter().find(|(name, _)| *name == action).map_or("such resource", |(_, what)| what);
    Err(Error::Lacking(what.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_by_name_and_apart_from_what_is_served() {
        assert!(LACKING.is_sorted_by(|a, b| a.0 < b.0));
        assert!(LACKING.iter().all(|(name, _)| find(name).is_some()));
    }
}
