//! What breaks beside the service, and how it comes back: kills, disks, fail-over, tokens, pressure.

pub mod backups;
pub mod clocks;
pub mod crash_imports;
pub mod crash_key_creation;
pub mod crash_writes;
pub mod disk;
pub mod durable;
pub mod everything;
pub mod failover;
pub mod load;
pub mod network;
pub mod output;
pub mod patroni;
pub mod poolers;
pub mod power_loss;
pub mod pressure;
pub mod strangers;
pub mod token;
pub mod wire;
mod wrapped;
