//! The values of references, all by one request of many.

use bulla_client::{Error, Selector, Value};

use super::reference::Reference;
use super::{Session, failure, value};
use crate::base::failure::Failure;

/// What references stand for.
pub struct Resolved {
    /// The values, in the order of the references.
    pub values: Vec<Value>,
    /// Which version of which secret each came from.
    pub versions: Vec<(String, String)>,
}

/// Gets the values.
///
/// # Errors
/// Where one of them is not to be had; all of these are named.
pub fn resolve(session: &Session, references: &[Reference]) -> Result<Resolved, Failure> {
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
    let mut missing: Option<Failure> = None;
    for ((name, which), result) in wanted.iter().zip(&found) {
        if let Err(refused) = result {
            let whole = Reference { name: name.clone(), field: None, which: which.clone() };
            let next = failure(&whole.to_string())(Error::Refused(Box::new(refused.clone())));
            match &mut missing {
                Some(first) => first.reason = format!("{}; {}", first.reason, next.reason),
                None => missing = Some(next),
            }
        }
    }
    if let Some(missing) = missing {
        return Err(missing);
    }
    let found: Vec<_> = found.into_iter().flatten().collect();
    let mut values = Vec::new();
    for (reference, place) in references.iter().zip(&places) {
        let whole = &found[*place].data;
        values.push(match &reference.field {
            Some(field) => value::field(&reference.name, whole, field)?,
            None => Value::new(whole.expose().to_vec()),
        });
    }
    let versions = places.iter().map(|place| (found[*place].name.clone(), found[*place].version.clone())).collect();
    Ok(Resolved { values, versions })
}
