//! How an entry of a batch tells its error: code, status and message beside the entry's name.
//!
//! Owns: that form. Must not know: operations. Called by: serde, where an answer holds an [`EntryError`].

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::api::EntryError;
use crate::dialects::rpc::fault::Fault;

impl Serialize for EntryError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fault = Fault::of(&self.error);
        let mut entry = serializer.serialize_struct("EntryError", 4)?;
        entry.serialize_field("SecretName", &self.secret_name)?;
        entry.serialize_field("Code", fault.code)?;
        entry.serialize_field("HttpStatus", &fault.status)?;
        entry.serialize_field("Message", &fault.message)?;
        entry.end()
    }
}
