//! Answers: the envelope around what an endpoint says.
//!
//! Owns: its members, and building it without leaving copies of secrets behind. Must not know: endpoints. Called by: door, the endpoints.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::base::clock::Timestamp;
use crate::base::ids::RequestId;
use crate::http::Reply;

/// What an endpoint answers.
pub enum Content {
    /// Nothing: 204.
    Nothing,
    /// JSON as it is, of endpoints that have no envelope.
    Plain(u16, Value),
    /// The envelope.
    Enveloped(Box<Envelope>),
}

/// What is in an envelope.
pub struct Envelope {
    /// The HTTP status.
    pub status: u16,
    /// The member `data`, as JSON.
    pub data: Zeroizing<Vec<u8>>,
    /// The member `auth`, as JSON; it may hold a token.
    pub auth: Zeroizing<Vec<u8>>,
    /// The member `warnings`.
    pub warnings: Vec<String>,
    /// Members beside those of every envelope.
    pub beside: Map<String, Value>,
}

/// The members of every envelope.
const MEMBERS: [&str; 8] = ["request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth"];

impl Content {
    /// An envelope with data.
    pub fn data(data: &Value) -> Self {
        Self::secret_data(200, Zeroizing::new(data.to_string().into_bytes()))
    }

    /// An envelope with data, and members that stand beside them as well, but for those of every envelope.
    pub fn beside(data: &Value, mut beside: Map<String, Value>) -> Self {
        beside.retain(|name, _| !MEMBERS.contains(&name.as_str()));
        match Self::data(data) {
            Content::Enveloped(envelope) => Content::Enveloped(Box::new(Envelope { beside, ..*envelope })),
            other => other,
        }
    }

    /// An envelope with data that may hold a secret.
    pub fn secret_data(status: u16, data: Zeroizing<Vec<u8>>) -> Self {
        let (auth, warnings) = (Zeroizing::new(b"null".to_vec()), Vec::new());
        Content::Enveloped(Box::new(Envelope { status, data, auth, warnings, beside: Map::new() }))
    }

    /// An envelope with a token.
    pub fn auth(auth: Zeroizing<Vec<u8>>) -> Self {
        let (data, warnings) = (Zeroizing::new(b"null".to_vec()), Vec::new());
        Content::Enveloped(Box::new(Envelope { status: 200, data, auth, warnings, beside: Map::new() }))
    }

    /// The same with a warning, where there is one.
    pub fn warned(mut self, warning: Option<String>) -> Self {
        if let Content::Enveloped(envelope) = &mut self {
            envelope.warnings.extend(warning);
        }
        self
    }

    /// The answer.
    pub fn reply(self, request_id: &RequestId) -> Reply {
        match self {
            Content::Nothing => reply(204, Vec::new()),
            Content::Plain(status, value) => reply(status, lined(value.to_string().into_bytes())),
            Content::Enveloped(envelope) => {
                let Envelope { status, data, auth, warnings, beside } = *envelope;
                let warnings = if warnings.is_empty() { Value::Null } else { warnings.into() };
                let head = format!(
                    "{{\"request_id\":\"{request_id}\",\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":0,\"data\":"
                );
                let mut tail = format!(",\"wrap_info\":null,\"warnings\":{warnings},\"auth\":");
                let mut end = String::new();
                for (name, value) in beside {
                    end.push_str(&format!(",{}:{value}", Value::String(name)));
                }
                end.push_str("}\n");
                // All of it at once: a buffer that grows leaves copies behind.
                let mut body = Vec::with_capacity(head.len() + data.len() + tail.len() + auth.len() + end.len());
                for part in [head.as_bytes(), &data, std::mem::take(&mut tail).as_bytes(), &auth, end.as_bytes()] {
                    body.extend_from_slice(part);
                }
                reply(status, body)
            }
        }
    }
}

fn lined(mut body: Vec<u8>) -> Vec<u8> {
    body.push(b'\n');
    body
}

/// An answer with a body of JSON, or none.
pub fn reply(status: u16, body: Vec<u8>) -> Reply {
    Reply { status, media_type: "application/json", headers: Vec::new(), body: body.into(), retry_after_s: None }
}

/// A time as Vault writes it.
pub fn time(at: Timestamp) -> Value {
    at.with_ms().into()
}

/// The same; empty for none.
pub fn time_or_empty(at: Option<Timestamp>) -> Value {
    at.map_or_else(|| "".into(), time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_member_stands_twice() {
        let told = json!({ "data": ["deny"], "request_id": ["deny"], "secret/data/a": ["read"] });
        let reply = Content::beside(&told, told.as_object().cloned().expect("an object")).reply(&RequestId::new());
        let text = String::from_utf8(reply.body.to_vec()).expect("JSON");
        assert_eq!((text.matches("\"data\":").count(), text.matches("\"request_id\":").count()), (2, 2), "{text}");
        assert!(text.ends_with(",\"secret/data/a\":[\"read\"]}\n"), "{text}");
    }
}
