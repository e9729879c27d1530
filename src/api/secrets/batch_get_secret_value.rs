//! BatchGetSecretValue: the values of up to twenty secrets, each as by GetSecretValue.
//!
//! Each entry needs the permission for GetSecretValue on its secret, so that this operation reads nothing that the other one would
//! not, and has an audit record of its own. What is refused for one entry is told in Errors, and the others are answered.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::api::secrets::get_secret_value::{self, GetSecretValue};
use crate::api::{Context, Effect, Operation, Target};
use crate::base::ids::SecretName;
use crate::error::Error;
use crate::wire::fault::Fault;
use crate::wire::params::Json;

/// Entries of one request.
const MOST_ENTRIES: usize = 20;

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
    errors: Vec<Refusal>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    secret_name: SecretName,
    code: &'static str,
    http_status: u16,
    message: String,
}

impl Operation for BatchGetSecretValue {
    const NAME: &'static str = "BatchGetSecretValue";
    const EFFECT: Effect = Effect::Read;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        let entries = &request.secrets_list.0;
        let mut seen = HashSet::new();
        let different = entries.iter().all(|entry| seen.insert(entry.name()));
        if different && (1..=MOST_ENTRIES).contains(&entries.len()) { Ok(()) } else { Err(Error::invalid("SecretsList")) }
    }

    fn target(_: &Request) -> Target<'_> {
        Target::nothing()
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let mut answer = Response { secret_values: Vec::new(), errors: Vec::new() };
        for entry in request.secrets_list.0 {
            let secret_name = entry.name().clone();
            match cx.part::<GetSecretValue>(entry) {
                Ok(value) => answer.secret_values.push(value),
                // It concerns all entries, and the whole request may come again.
                Err(error) if error.not_executed() => return Err(error),
                Err(error) => {
                    let Fault { status: http_status, code, message, .. } = Fault::of(&error);
                    answer.errors.push(Refusal { secret_name, code, http_status, message: message.into_owned() });
                }
            }
        }
        Ok(answer)
    }
}
