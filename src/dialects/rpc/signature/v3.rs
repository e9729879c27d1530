//! ACS3-HMAC-SHA256: `hex(HMAC-SHA256(secret, string to sign))` in the Authorization header.
//!
//! Owns: the header's grammar, what must be signed, the canonical request. Must not know: access keys. Called by: signature.
//!
//! ```text
//! string to sign    = "ACS3-HMAC-SHA256" \n hex(SHA-256(canonical request))
//! canonical request = METHOD \n / \n query \n headers \n signed header names \n x-acs-content-sha256
//! query             = pe(name)=pe(value) joined by &, sorted by name; the form body is covered by its hash instead
//! headers           = name:value \n for each signed header; the values of a repeated one are sorted and joined by a comma
//! ```
//!
//! Which headers are signed is the client's choice and read from the request: SDKs differ.

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use super::Signed;
use super::percent::{self, Times};
use crate::auth::proof::{Claim, Scheme};
use crate::base::field::Field;
use crate::dialects::rpc::params::Params;
use crate::error::Error;
use crate::http::Call;

/// The first word of the Authorization header.
pub(super) const ALGORITHM: &str = "ACS3-HMAC-SHA256 ";

/// Headers that every signature must cover, besides all other `x-acs-*` headers that are sent.
const MUST_BE_SIGNED: [&str; 6] =
    ["host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"];

/// What the Authorization header must hold.
const FIELDS: &str =
    "Authorization must hold Credential, SignedHeaders and Signature behind ACS3-HMAC-SHA256, each once and not empty.";

/// What SignedHeaders must be.
const ALL_THERE: &str = "SignedHeaders must name headers that are sent, each once.";

/// A signature without what it needs; a sentence that says what that is.
fn incomplete(why: &'static str) -> Error {
    Error::SignatureIncomplete(why.into())
}

/// Reads the headers; `fields` is what follows [`ALGORITHM`].
pub(super) fn read(call: &Call, params: &Params, fields: &str) -> Result<Signed, Error> {
    let sent = |name| call.header(name).map(str::trim).filter(|value| !value.is_empty());
    let required = |header, name| sent(header).ok_or(Error::MissingCommon(name));

    let action = super::version_and_action(sent("x-acs-version"), sent("x-acs-action"))?;
    let date = required("x-acs-date", Field::Timestamp)?;
    let nonce = required("x-acs-signature-nonce", Field::SignatureNonce)?;
    let hash = sent("x-acs-content-sha256").ok_or(incomplete("The header x-acs-content-sha256 is needed."))?;
    let Authorization { credential, signed, signature } = Authorization::parse(fields)?;
    check_coverage(call, &signed)?;
    if params.single("SignatureType")?.is_some() {
        return Err(Error::SignatureMethodNotSupported("ACS3-HMAC-SHA256 has no SignatureType."));
    }
    if sent("x-acs-security-token").is_some() {
        return Err(Error::AccessKeyNotFound);
    }
    if hash != hex::encode(digest::digest(&digest::SHA256, &call.body)) {
        return Err(incomplete("x-acs-content-sha256 is not the SHA-256 of the body, in lower-case hexadecimal digits."));
    }
    let claim = Claim {
        scheme: Scheme::HmacSha256,
        access_key: super::access_key(credential)?,
        nonce: super::nonce(nonce)?,
        timestamp: super::timestamp(date)?,
        string_to_sign: string_to_sign(&canonical_request(call, params, &signed, hash)),
        signature: hex::decode(signature).unwrap_or_default(),
    };
    Ok(Signed { action, claim })
}

/// The fields of the Authorization header.
struct Authorization<'c> {
    credential: &'c str,
    /// Names in lower case, in the order in which they were signed.
    signed: Vec<&'c str>,
    signature: &'c str,
}

impl<'c> Authorization<'c> {
    /// `Credential=…,SignedHeaders=a;b,Signature=…` in any order, with or without spaces after the commas.
    fn parse(fields: &'c str) -> Result<Self, Error> {
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) = field.trim().split_once('=').ok_or(incomplete(FIELDS))?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return Err(incomplete(FIELDS)),
            };
            if value.is_empty() || slot.replace(value).is_some() {
                return Err(incomplete(FIELDS));
            }
        }
        match (credential, signed, signature) {
            (Some(credential), Some(signed), Some(signature)) => {
                Ok(Self { credential, signed: signed.split(';').collect(), signature })
            }
            _ => Err(incomplete(FIELDS)),
        }
    }
}

/// The signature must cover everything that can change what the request means: the required headers, every `x-acs-*` header,
/// and the type of a body. What it names must be there, once in the list, and an `x-acs-*` header must not be sent twice.
fn check_coverage(call: &Call, signed: &[&str]) -> Result<(), Error> {
    // First, for it bounds the work of the rest: http bounds the number of headers, nothing else that of the list.
    if signed.len() > call.headers.len() {
        return Err(incomplete(ALL_THERE));
    }
    let is_signed = |name: &str| signed.contains(&name);
    let times_sent = |name: &str| call.headers.iter().filter(|(other, _)| other == name).count();

    let must = |name: &str| Err(Error::SignatureIncomplete(format!("The header {name} must be sent once, and signed.").into()));
    if let Some(name) = MUST_BE_SIGNED.iter().find(|name| !is_signed(name)) {
        return must(name);
    }
    let mut acs = call.headers.iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with("x-acs-"));
    if let Some(name) = acs.find(|name| !is_signed(name) || times_sent(name) != 1) {
        return must(name);
    }
    if !call.body.is_empty() && times_sent("content-type") > 0 && !is_signed("content-type") {
        return must("content-type");
    }
    let all_there = signed.iter().all(|name| times_sent(name) > 0);
    let listed_once = (1..signed.len()).all(|i| !signed[..i].contains(&signed[i]));
    if all_there && listed_once { Ok(()) } else { Err(incomplete(ALL_THERE)) }
}

/// Builds the canonical request.
pub(super) fn canonical_request(call: &Call, params: &Params, signed: &[&str], hash: &str) -> Zeroizing<String> {
    let mut query: Vec<(&str, &str)> = params.query().collect();
    query.sort_by_key(|(name, _)| *name);
    let headers: Vec<(&str, String)> = signed.iter().map(|name| (*name, header_value(call, name))).collect();

    let once = |text| percent::length(text, Times::Once);
    let length = query.iter().map(|(name, value)| once(name) + once(value) + 2).sum::<usize>()
        + headers.iter().map(|(name, value)| 2 * name.len() + value.len() + 3).sum::<usize>()
        + hash.len()
        + 16;
    let mut text = Zeroizing::new(String::with_capacity(length));
    text.push_str(call.method.as_str());
    text.push_str("\n/\n");
    for (i, (name, value)) in query.iter().enumerate() {
        if i > 0 {
            text.push('&');
        }
        percent::push(&mut text, name, Times::Once);
        text.push('=');
        percent::push(&mut text, value, Times::Once);
    }
    text.push('\n');
    for (name, value) in &headers {
        for piece in [name, ":", value, "\n"] {
            text.push_str(piece);
        }
    }
    text.push('\n');
    for (i, name) in signed.iter().enumerate() {
        if i > 0 {
            text.push(';');
        }
        text.push_str(name);
    }
    text.push('\n');
    text.push_str(hash);
    text
}

/// A header's values, trimmed, sorted, joined.
fn header_value(call: &Call, name: &str) -> String {
    let mut values: Vec<&str> = call.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.trim()).collect();
    values.sort_unstable();
    values.join(",")
}

/// What is signed, from the canonical request.
pub(super) fn string_to_sign(canonical: &str) -> Zeroizing<String> {
    let hash = digest::digest(&digest::SHA256, canonical.as_bytes());
    Zeroizing::new(format!("{}\n{}", ALGORITHM.trim_end(), hex::encode(hash)))
}
