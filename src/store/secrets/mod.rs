//! Rows of secrets: the secrets, their versions, stages and values, and their rotation.

pub mod rotations;
pub mod secret;
pub mod secret_counts;
pub mod stages;
pub mod values;
pub mod versions;
