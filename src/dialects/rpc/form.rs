//! The form of an answer, JSON or XML, and what it can hold.
//!
//! Owns: which form a request asks for, and that a write is refused beforehand whose answer the form could not hold.
//! Must not know: operations. Called by: door, encode.

use crate::api::Effect;
use crate::dialects::rpc::encode::xml;
use crate::dialects::rpc::params::{Params, invalid_since};
use crate::dialects::rpc::signature;
use crate::error::Error;
use crate::http::Call;

/// Parameters that no answer to a write repeats, and that hold what callers like: they may have characters that XML has not.
const NEVER_TOLD: [&str; 1] = ["SecretData"];

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// JSON, the default.
    #[default]
    Json,
    /// XML, on `Format=XML` of the RPC scheme.
    Xml,
}

impl Form {
    /// The form that a request asks for, known even if its signature turns out to be wrong: `Format` of the RPC scheme in any
    /// letter case, where anything but XML means JSON (one SDK sends `None`). Of several values the last counts, which is the one
    /// that is signed. ACS3 is always answered in JSON.
    pub fn requested(call: &Call, params: &Params) -> Self {
        let rpc = !call.header("authorization").is_some_and(|text| text.starts_with(signature::ACS));
        let asked = params.iter().filter(|(name, _)| *name == "Format").last();
        if rpc && asked.is_some_and(|(_, value)| value.eq_ignore_ascii_case("xml")) { Form::Xml } else { Form::Json }
    }

    /// Refuses a write one of whose parameters could not be told in the answer: it would happen, and its caller would not learn of it.
    ///
    /// # Errors
    /// [`Error::Unreadable`] with the parameter's name.
    pub fn can_answer(self, effect: Effect, params: &Params) -> Result<(), Error> {
        if self == Form::Json || effect == Effect::Read {
            return Ok(());
        }
        let told = params.iter().filter(|(name, _)| !NEVER_TOLD.contains(name));
        match told.into_iter().find(|(_, value)| !xml::can_hold(value)) {
            Some((name, _)) => Err(invalid_since(name.to_owned().into(), NOT_IN_XML)),
            None => Ok(()),
        }
    }

    /// The Content-Type of an answer in this form.
    ///
    /// Tea clients parse `text/xml;charset=utf-8`, exactly, as another envelope; so XML goes out as `application/xml`.
    pub fn media_type(self) -> &'static str {
        match self {
            Form::Json => "application/json;charset=utf-8",
            Form::Xml => "application/xml;charset=utf-8",
        }
    }
}

/// What would be right where XML cannot hold a character.
pub const NOT_IN_XML: &str = "XML cannot hold one of its characters; ask for Format=JSON.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{Moment, Timestamp};
    use crate::base::ids::RequestId;
    use crate::http::Method;

    fn requested(query: &str, body: &str, headers: &[(&str, &str)]) -> Form {
        let call = Call {
            client_certificate: None,
            request_id: RequestId::new(),
            arrival: Moment::still(Timestamp(0)),
            peer: [127, 0, 0, 1].into(),
            secure: false,
            method: Method::Post,
            path: "/".to_owned(),
            query: query.to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: body.as_bytes().to_vec(),
        };
        let params = Params::parse(query, None, body.as_bytes()).expect("a form");
        Form::requested(&call, &params)
    }

    #[test]
    fn forms_that_are_asked_for() {
        for (text, form) in [("XML", Form::Xml), ("xml", Form::Xml), ("JSON", Form::Json), ("None", Form::Json)] {
            assert_eq!(requested(&format!("Format={text}"), "", &[]), form, "{text}");
        }
        assert_eq!(requested("", "", &[]), Form::Json);
        assert_eq!(requested("Format=XML", "", &[("authorization", "ACS3-HMAC-SHA256 Credential=a")]), Form::Json);
    }

    #[test]
    fn of_two_values_the_signed_one_counts() {
        assert_eq!(requested("Format=XML", "Format=JSON", &[]), Form::Json);
        assert_eq!(requested("Format=JSON", "Format=XML", &[]), Form::Xml);
    }

    #[test]
    fn a_write_whose_answer_cannot_be_written_is_refused_before() {
        let check =
            |form: Form, effect, query: &str| form.can_answer(effect, &Params::parse(query, None, b"").expect("a form"));
        for bad in ["%00", "%01", "%1F", "%EF%BF%BE", "%EF%BF%BF"] {
            let query = format!("KeySpec=Aliyun_AES_256&Description=a{bad}b");
            let refused = Err(invalid_since("Description".into(), NOT_IN_XML));
            assert_eq!(check(Form::Xml, Effect::Write, &query), refused, "{bad}");
            assert_eq!(check(Form::Json, Effect::Write, &query), Ok(()));
            assert_eq!(check(Form::Xml, Effect::Read, &query), Ok(()));
            assert_eq!(check(Form::Xml, Effect::Write, &format!("SecretData={bad}")), Ok(()));
        }
        assert_eq!(check(Form::Xml, Effect::Write, "Description=%09%0A%0D+%F0%9F%98%80"), Ok(()));
    }
}
