//! Operations on what a cloud has around its service: regions, accounts' contracts, instances, networks, enclaves.
//!
//! Owns: the answers of a service that stands on its own. Must not know: keys, secrets.

pub mod describe_account_kms_status;
pub mod describe_regions;
pub mod get_caller_identity;
pub mod lacking;
pub mod list_kms_instances;
pub mod open_kms_service;
