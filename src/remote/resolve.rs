//! The values of references, all by one request of many: BatchGetSecretValue.

use bulla_client::{Error, Selector, Value};

use super::reference::Reference;
use super::{Session, failure, value};
use crate::base::failure::{Class, Failure};
use crate::base::locale::t;

/// What references stand for.
pub struct Resolved {
    /// The values, in the order of the references.
    pub values: Vec<Value>,
    /// Which version of which secret each came from.
    pub versions: Vec<(String, String)>,
}

/// One value, and which version of which secret it came from.
pub struct Got {
    /// The value.
    pub value: Value,
    /// The secret.
    pub name: String,
    /// The version's id.
    pub version: String,
}

/// Gets all values.
///
/// # Errors
/// Where one of them is not to be had; all of these are named.
pub fn resolve(session: &Session, references: &[Reference]) -> Result<Resolved, Failure> {
    let mut missing: Vec<Failure> = Vec::new();
    let mut resolved = Resolved { values: Vec::new(), versions: Vec::new() };
    for got in each(session, references)? {
        match got {
            Ok(got) => {
                resolved.values.push(got.value);
                resolved.versions.push((got.name, got.version));
            }
            // A secret that is named in several places is missing once.
            Err(next) if missing.iter().any(|known| known.reason == next.reason) => {}
            Err(next) => missing.push(next),
        }
    }
    let reasons: Vec<&str> = missing.iter().map(|failure| failure.reason.as_str()).collect();
    let reason = reasons.join(&t!("; "));
    match missing.into_iter().next() {
        Some(first) => Err(Failure { reason, ..first }),
        None => Ok(resolved),
    }
}

/// Gets the values, each by itself, in the order of the references.
///
/// # Errors
/// Where there is no answer to the request as a whole.
pub fn each(session: &Session, references: &[Reference]) -> Result<Vec<Result<Got, Failure>>, Failure> {
    let mut wanted: Vec<(String, Selector)> = Vec::new();
    let places: Vec<usize> = references
        .iter()
        .map(|reference| {
            let asked = (reference.name.clone(), reference.which.clone());
            wanted.iter().position(|known| *known == asked).unwrap_or_else(|| {
                wanted.push(asked);
                wanted.len() - 1
            })
        })
        .collect();
    let found = session.client.secret_values(&wanted).map_err(failure(""))?;
    let got = |(reference, place): (&Reference, &usize)| {
        let (name, which) = &wanted[*place];
        let found = found[*place].as_ref().map_err(|refused| {
            let whole = Reference { name: name.clone(), field: None, which: which.clone() };
            let failure = failure(&whole.to_string())(Error::Refused(Box::new(refused.clone())));
            match which {
                Selector::Current => failure,
                _ if failure.class != Class::NotFound => failure,
                // Names can have an @ too.
                _ => failure.hint(t!("@ begins a version; where it is a part of the name, write %40")),
            }
        })?;
        let value = match &reference.field {
            Some(field) => value::field(name, &found.data, field)?,
            None => Value::new(found.data.expose().to_vec()),
        };
        Ok(Got { value, name: found.name.clone(), version: found.version.clone() })
    };
    Ok(references.iter().zip(&places).map(got).collect())
}
