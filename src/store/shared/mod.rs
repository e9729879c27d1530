//! Rows that keys and secrets share, and those of the service itself: tags, policies of resources, nonces, leases, the deployment.

pub mod deployment;
pub mod leases;
pub mod log_heads;
pub mod nodes;
pub mod nonces;
pub mod resource_policies;
pub mod tags;
pub mod vital;
