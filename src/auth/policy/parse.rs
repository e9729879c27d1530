//! Text to statements. Strict: a member, operator or value that is not understood refuses the document.
//!
//! Owns: the grammar and the messages. Called by: policy, resource.

use super::condition::Condition;
use super::error::PolicyError;
use super::json::Json;
use super::pattern::Pattern;
use super::statement::{Effect, Statement};

/// The longest document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 32_768;

/// The one version of the language.
const VERSION: &str = "1";

/// The statements of a document, each read by `statement`.
pub(super) fn document<S>(text: &str, statement: fn(Json) -> Result<S, PolicyError>) -> Result<Vec<S>, PolicyError> {
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(PolicyError::new(format!("the document is longer than {MAX_DOCUMENT_BYTES} bytes")));
    }
    let json = serde_json::from_str(text).map_err(|e| PolicyError::new(format!("not valid JSON: {e}")))?;
    let [version, statements] = members(json, ["Version", "Statement"])?;
    match required(version, "Version")? {
        Json::Text(version) if version == VERSION => {}
        _ => return Err(PolicyError::new("must be \"1\"").within("Version")),
    }
    let Json::List(statements) = required(statements, "Statement")? else {
        return Err(PolicyError::new("must be an array of statements").within("Statement"));
    };
    if statements.is_empty() {
        return Err(PolicyError::new("must have at least one statement").within("Statement"));
    }
    let numbered = statements.into_iter().enumerate();
    numbered.map(|(i, s)| statement(s).map_err(|e| e.within(&format!("statement {}", i + 1)))).collect()
}

pub(super) fn statement(json: Json) -> Result<Statement, PolicyError> {
    let [effect, action, resource, condition] = members(json, ["Effect", "Action", "Resource", "Condition"])?;
    let actions = patterns(required(action, "Action")?, action_pattern).map_err(|e| e.within("Action"))?;
    let resources = patterns(required(resource, "Resource")?, resource_pattern).map_err(|e| e.within("Resource"))?;
    statement_of(effect, actions, resources, condition)
}

/// A statement from its members, two of them read already.
pub(super) fn statement_of(
    effect: Option<Json>,
    actions: Vec<Pattern>,
    resources: Vec<Pattern>,
    condition: Option<Json>,
) -> Result<Statement, PolicyError> {
    let effect = match required(effect, "Effect")? {
        Json::Text(effect) if effect == "Allow" => Effect::Allow,
        Json::Text(effect) if effect == "Deny" => Effect::Deny,
        _ => return Err(PolicyError::new("must be \"Allow\" or \"Deny\"").within("Effect")),
    };
    let conditions = condition.map_or(Ok(Vec::new()), conditions).map_err(|e| e.within("Condition"))?;
    Ok(Statement { effect, actions, resources, conditions })
}

/// The members of an object by name; any other is refused.
pub(super) fn members<const N: usize>(json: Json, names: [&str; N]) -> Result<[Option<Json>; N], PolicyError> {
    let Json::Object(found) = json else { return Err(PolicyError::expected("an object", &json)) };
    let mut members = [const { None }; N];
    for (name, value) in found {
        let Some(i) = names.iter().position(|known| *known == name) else {
            return Err(PolicyError::new(match name.as_str() {
                "NotAction" | "NotResource" => format!("{name} is not supported; write what is meant, or a Deny"),
                "Principal" => "Principal has no place in a policy that is attached to a user".to_owned(),
                _ => format!("unknown member {name:?}; known are {}", names.join(", ")),
            }));
        };
        members[i] = Some(value);
    }
    Ok(members)
}

pub(super) fn required(value: Option<Json>, name: &str) -> Result<Json, PolicyError> {
    value.ok_or_else(|| PolicyError::new(format!("{name} is missing")))
}

/// One string, or an array of at least one.
pub(super) fn patterns(json: Json, one: fn(&str) -> Result<Pattern, PolicyError>) -> Result<Vec<Pattern>, PolicyError> {
    one_or_more(json)?
        .iter()
        .map(|item| match item {
            Json::Text(text) => one(text),
            other => Err(PolicyError::expected("a string", other)),
        })
        .collect()
}

pub(super) fn one_or_more(json: Json) -> Result<Vec<Json>, PolicyError> {
    match json {
        Json::List(items) if items.is_empty() => Err(PolicyError::new("must not be an empty array")),
        Json::List(items) => Ok(items),
        single => Ok(vec![single]),
    }
}

pub(super) fn action_pattern(text: &str) -> Result<Pattern, PolicyError> {
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b"*?-".contains(&b));
    if text == "*" || text.split_once(':').is_some_and(|(service, name)| word(service) && word(name)) {
        Ok(Pattern::new(&text.to_ascii_lowercase()))
    } else {
        Err(PolicyError::new(format!("{text:?} is not of the form <service>:<action>")))
    }
}

fn resource_pattern(text: &str) -> Result<Pattern, PolicyError> {
    if text == "*" || text.starts_with("acs:") {
        Ok(Pattern::new(text))
    } else {
        Err(PolicyError::new(format!("{text:?} is neither * nor of the form acs:<service>:<region>:<account>:<resource>")))
    }
}

/// `{operator: {key: value or [values]}}`.
fn conditions(json: Json) -> Result<Vec<Condition>, PolicyError> {
    let mut conditions = Vec::new();
    for (operator, keys) in filled_object(json)? {
        let keys = filled_object(keys).map_err(|e| e.within(&operator))?;
        for (key, values) in keys {
            let condition = one_or_more(values).and_then(|values| Condition::new(&operator, &key, &values));
            conditions.push(condition.map_err(|e| e.within(&key).within(&operator))?);
        }
    }
    Ok(conditions)
}

fn filled_object(json: Json) -> Result<Vec<(String, Json)>, PolicyError> {
    match json {
        Json::Object(members) if members.is_empty() => Err(PolicyError::new("must not be empty")),
        Json::Object(members) => Ok(members),
        other => Err(PolicyError::expected("an object", &other)),
    }
}
