//! BatchGetSecretValue: the values of up to twenty secrets, each as by GetSecretValue.
//!
//! Each entry needs the permission for GetSecretValue on its secret, so that this operation reads nothing that the other one would
//! not, and has an audit record of its own. What is refused for one entry, an ill-formed one too, is told in Errors, and the others are
//! answered.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::json::Object;
use crate::api::secrets::get_secret_value::{self, GetSecretValue};
use crate::api::{Context, Effect, Input, Json, Operation, Target};
use crate::auth::Caller;
use crate::base::field::{Field, Why};
use crate::base::ids::SecretRef;
use crate::error::Error;

/// Entries of one request.
const MAX_ENTRIES: usize = 20;

pub struct BatchGetSecretValue;

/// Parameters: JSON text, a list of objects with the parameters of GetSecretValue, of different secrets.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secrets_list: Json<Vec<Object<Given>>>,
}

/// One entry as it was given.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    secret_name: Value,
    version_stage: Option<Value>,
    version_id: Option<Value>,
    fetch_extended_config: Option<Value>,
    recipient: Option<Value>,
}

/// One entry: what it asks for, or why that is not understood.
struct Entry {
    name: String,
    asked: Result<get_secret_value::Request, Error>,
}

impl Entry {
    /// Members that are empty or null are not given, as elsewhere. None without a name: it could not be told apart in the answer.
    fn read(given: Given) -> Option<Self> {
        let Value::String(name) = given.secret_name else { return None };
        let members = [
            ("SecretName", Some(Value::String(name.clone()))),
            ("VersionStage", given.version_stage),
            ("VersionId", given.version_id),
            ("FetchExtendedConfig", given.fetch_extended_config),
            ("Recipient", given.recipient),
        ];
        let sent = members.into_iter().filter_map(|(member, value)| Some((member.to_owned(), value?)));
        let sent: Map<String, Value> = sent.filter(|(_, value)| !value.is_null() && value != "").collect();
        let asked = get_secret_value::Request::deserialize(Value::Object(sent));
        let wrong = |fault| Error::invalid_since(Field::SecretsList, format!("This entry is not understood: {fault}."));
        let asked = asked.map_err(wrong);
        Some(Self { name, asked })
    }

    /// The secret, whatever form of its name was given; a name that is none as it is.
    fn secret(&self, caller: &Caller) -> String {
        match SecretRef::try_from(self.name.clone()) {
            Ok(SecretRef { home, name }) => caller.arn(home.as_ref(), &name.resource()),
            Err(_) => self.name.clone(),
        }
    }

    /// How the answer names it: without an ARN where it is the caller's and was understood.
    fn shown(&self, caller: &Caller) -> String {
        match &self.asked {
            Ok(asked) if caller.at_home(asked.home()) => asked.name().to_string(),
            Ok(_) | Err(_) => self.name.clone(),
        }
    }
}

/// Answer. Every entry is in one of the two lists; the lists are not wrapped.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_values: Vec<get_secret_value::Response>,
    errors: Vec<EntryError>,
}

/// An entry that was refused (`dialects::rpc` tells how; adr/0012).
pub struct EntryError {
    /// The entry's secret; as the entry names it where it is not understood, or another account's.
    pub secret_name: String,
    /// Why it was refused.
    pub error: Error,
}

/// The entries, of different secrets.
pub struct Entries(Vec<Entry>);

/// What is wrong with the list as a whole.
fn refused() -> Error {
    let why = "It must be a list of 1 to 20 objects with {}, of different secrets.";
    Error::invalid_since(Field::SecretsList, Why::naming(why, &[Field::SecretName]))
}

impl Input for Entries {
    type Request = Request;

    fn read(Request { secrets_list: Json(given) }: Request) -> Result<Self, Error> {
        let entries: Vec<Entry> =
            given.into_iter().map(|Object(given)| Entry::read(given)).collect::<Option<_>>().ok_or_else(refused)?;
        if (1..=MAX_ENTRIES).contains(&entries.len()) { Ok(Self(entries)) } else { Err(refused()) }
    }
}

impl Operation for BatchGetSecretValue {
    const NAME: &'static str = "BatchGetSecretValue";
    /// For each entry.
    const PERMISSION: &'static str = "GetSecretValue";
    const EFFECT: Effect = Effect::Read;
    type Input = Entries;
    type Response = Response;

    fn target(_: &Entries) -> Target<'_> {
        Target::nothing()
    }

    fn run(cx: &Context<'_>, Entries(entries): Entries) -> Result<Response, Error> {
        let mut seen = HashSet::new();
        if !entries.iter().all(|entry| seen.insert(entry.secret(cx.caller))) {
            return Err(refused());
        }
        let mut answer = Response { secret_values: Vec::new(), errors: Vec::new() };
        for entry in entries {
            let secret_name = entry.shown(cx.caller);
            match cx.part::<GetSecretValue>(entry.asked) {
                Ok(value) => answer.secret_values.push(value),
                // It concerns all entries, and the whole request may come again.
                Err(error) if error.not_executed() => return Err(error),
                Err(error) => answer.errors.push(EntryError { secret_name, error }),
            }
        }
        Ok(answer)
    }
}
