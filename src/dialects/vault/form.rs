//! A body as a form, as `curl -d name=value` sends it: taken for the JSON that says the same.
//!
//! Owns: what is a form, and its translation. Must not know: endpoints. Called by: door.
//!
//! Each name is a member. Its value is a text, of which the endpoints take numbers and booleans as well; of a name that stands more than
//! once, a list of them. `curl -d` calls JSON a form too, so what begins as JSON is JSON.

use std::collections::BTreeMap;

use percent_encoding::percent_decode;
use zeroize::Zeroizing;

use crate::dialects::vault::json::quoted;
use crate::http::Call;

/// The JSON of a body that is a form; none of another.
///
/// # Errors
/// What is wrong with the form.
pub fn as_json(call: &Call) -> Result<Option<Zeroizing<Vec<u8>>>, &'static str> {
    let media_type = call.header("content-type").unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let body = call.body.trim_ascii();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") || matches!(body.first(), None | Some(b'{' | b'[')) {
        return Ok(None);
    }
    let mut members = BTreeMap::<String, Vec<Zeroizing<String>>>::new();
    let mut most = 2;
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = (&pair[..end], pair.get(end + 1..).unwrap_or_default());
        members.entry(text(name)?.to_string()).or_default().push(text(value)?);
        // The most that a byte becomes is \u00XX, and around the two there are quotes, a colon, a comma and brackets.
        most += 6 * pair.len() + 8;
    }
    let mut json = Zeroizing::new(Vec::with_capacity(most));
    json.push(b'{');
    for (n, (name, values)) in members.iter().enumerate() {
        if n > 0 {
            json.push(b',');
        }
        json.extend_from_slice(&quoted(name));
        json.push(b':');
        match values.as_slice() {
            [value] => json.extend_from_slice(&quoted(value)),
            values => {
                for (n, value) in values.iter().enumerate() {
                    json.push(if n > 0 { b',' } else { b'[' });
                    json.extend_from_slice(&quoted(value));
                }
                json.push(b']');
            }
        }
    }
    json.push(b'}');
    Ok(Some(json))
}

/// A name or a value, decoded.
fn text(encoded: &[u8]) -> Result<Zeroizing<String>, &'static str> {
    let is_escape =
        |(at, _): (usize, &u8)| encoded.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if !encoded.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(is_escape) {
        return Err("a % in a form must stand before two hexadecimal digits");
    }
    let spaced: Zeroizing<Vec<u8>> =
        Zeroizing::new(encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect());
    let mut decoded = Vec::with_capacity(spaced.len());
    decoded.extend(percent_decode(&spaced));
    String::from_utf8(decoded).map(Zeroizing::new).map_err(|_| "a form must be UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{Moment, Timestamp};
    use crate::base::ids::RequestId;
    use crate::http::Method;

    fn read(media_type: &str, body: &str) -> Result<Option<String>, &'static str> {
        let call = Call {
            request_id: RequestId::new(),
            arrival: Moment::still(Timestamp(0)),
            peer: [127, 0, 0, 1].into(),
            secure: false,
            client_certificate: None,
            method: Method::Post,
            path: String::new(),
            query: String::new(),
            headers: vec![("content-type".to_owned(), media_type.to_owned())],
            body: body.as_bytes().to_vec(),
        };
        Ok(as_json(&call)?.map(|json| String::from_utf8(json.to_vec()).expect("JSON")))
    }

    #[test]
    fn a_form_says_what_json_says() {
        let form = "application/x-www-form-urlencoded";
        for (body, json) in [
            ("role_id=a%26b&secret_id=c+d%2B", r#"{"role_id":"a&b","secret_id":"c d+"}"#),
            ("versions=1&versions=2&n=", r#"{"n":"","versions":["1","2"]}"#),
            ("a&&b=%C3%A9%22", r#"{"a":"","b":"é\""}"#),
        ] {
            for form in [form, "Application/X-WWW-Form-Urlencoded; charset=utf-8"] {
                assert_eq!(read(form, body), Ok(Some(json.to_owned())), "{body}");
            }
            assert_eq!(read("application/json", body), Ok(None));
        }
        for no_form in ["", " ", r#"{"a":"b=c"}"#, " [1]"] {
            assert_eq!(read(form, no_form), Ok(None), "{no_form}");
        }
        for wrong in ["a=%", "a=%4", "a=%g1", "%C3=1"] {
            assert!(read(form, wrong).is_err(), "{wrong}");
        }
    }
}
