//! Rows of CMKs: keys, versions, aliases, rotation, imported material.

pub mod aliases;
pub mod condemned;
pub mod import_parameters;
pub mod inventory;
pub mod key;
pub mod key_filters;
pub mod key_materials;
pub mod key_rotations;
pub mod key_versions;
