//! Secrets by the numbers of their versions, and their names as a tree: operations of doors that speak so.
//!
//! They are the same operations with the same permissions and the same history as those of `api::secrets`, asked for in another way.

mod besides;
mod describe;
mod level;
mod read;
mod remove;
mod retag;
mod withhold;
mod write;

pub use describe::DescribeVersions;
pub use level::{Level, ListLevel};
pub use read::{Numbered, ReadVersion};
pub use remove::RemoveSecret;
pub use retag::{Retag, Retagged};
pub use withhold::{DeleteVersions, DestroyVersions, UndeleteVersions, Versions};
pub use write::{PatchVersion, Patched, WriteVersion, Written};

pub use crate::secrets::{MOST_VERSIONS, NumberedValue, NumberedVersions, VersionFacts, Which};

/// Inputs that a door makes itself, and of which nothing is left to read.
macro_rules! ready {
    ($($input:ty),+) => {$(
        impl $crate::api::Input for $input {
            type Request = Self;

            fn read(request: Self) -> Result<Self, $crate::error::Error> {
                Ok(request)
            }
        }
    )+};
}
pub(in crate::api) use ready;
