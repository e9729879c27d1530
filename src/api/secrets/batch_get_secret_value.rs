//! BatchGetSecretValue: the values of up to twenty secrets, each as by GetSecretValue.
//!
//! Each entry needs the permission for GetSecretValue on its secret, so that this operation reads nothing that the other one would
//! not, and has an audit record of its own. What is refused for one entry is told in Errors, and the others are answered.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::api::secrets::get_secret_value::{self, GetSecretValue};
use crate::api::{Context, Effect, Input, Json, Operation, Target};
use crate::base::field::Field;
use crate::base::ids::SecretName;
use crate::error::Error;

/// Entries of one request.
const MAX_ENTRIES: usize = 20;

/// BatchGetSecretValue.
pub struct BatchGetSecretValue;

/// Parameters: JSON text, a list of objects with the parameters of GetSecretValue, of different secrets.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secrets_list: Json<Vec<get_secret_value::Request>>,
}

/// Answer. Every entry is in one of the two lists; the lists are not wrapped.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_values: Vec<get_secret_value::Response>,
    errors: Vec<EntryError>,
}

/// An entry that was refused; each dialect spells the error.
pub struct EntryError {
    /// The entry's secret.
    pub secret_name: SecretName,
    /// Why it was refused.
    pub error: Error,
}

/// The entries, of different secrets.
pub struct Entries(Vec<get_secret_value::Request>);

impl Input for Entries {
    type Request = Request;

    fn read(Request { secrets_list: Json(entries) }: Request) -> Result<Self, Error> {
        let mut seen = HashSet::new();
        let different = entries.iter().all(|entry| seen.insert(entry.name()));
        let fits = different && (1..=MAX_ENTRIES).contains(&entries.len());
        if fits { Ok(Self(entries)) } else { Err(Error::invalid(Field::SecretsList)) }
    }
}

impl Operation for BatchGetSecretValue {
    const NAME: &'static str = "BatchGetSecretValue";
    const EFFECT: Effect = Effect::Read;
    type Input = Entries;
    type Response = Response;

    fn target(_: &Entries) -> Target<'_> {
        Target::nothing()
    }

    fn run(cx: &Context<'_>, Entries(entries): Entries) -> Result<Response, Error> {
        let mut answer = Response { secret_values: Vec::new(), errors: Vec::new() };
        for entry in entries {
            let secret_name = entry.name().clone();
            match cx.part::<GetSecretValue>(Ok(entry)) {
                Ok(value) => answer.secret_values.push(value),
                // It concerns all entries, and the whole request may come again.
                Err(error) if error.not_executed() => return Err(error),
                Err(error) => answer.errors.push(EntryError { secret_name, error }),
            }
        }
        Ok(answer)
    }
}
