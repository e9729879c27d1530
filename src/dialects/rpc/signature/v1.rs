//! RPC signature version 1.0: `Base64(HMAC-SHA1(secret + "&", string to sign))`, a parameter among the others; or, with a client
//! key, `Base64(RSASSA-PKCS1-v1_5 with SHA-256 over the string to sign)`.
//!
//! Owns: its common parameters and its string to sign. Must not know: access keys. Called by: signature.
//!
//! ```text
//! string to sign = METHOD & %2F & pe(pairs)     pairs = pe(name)=pe(value) joined by &, sorted by name, without Signature
//! ```
//!
//! Query and form body are signed alike; headers are not, so `x-acs-*` headers mean nothing here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Signed;
use super::percent::{self, Times};
use crate::auth::proof::{Claim, Scheme};
use crate::base::field::Field;
use crate::dialects::rpc::params::Params;
use crate::error::Error;
use crate::http::{Call, Method};

/// What is said of other methods, versions and types.
const SERVED: &str = "SignatureMethod must be HMAC-SHA1 with SignatureVersion 1.0 and no SignatureType, or with a client key SHA256withRSA, \
                      1.0 and PRIVATEKEY.";

/// Reads the common parameters.
pub(super) fn read(call: &Call, params: &Params) -> Result<Signed, Error> {
    let required = |field: Field| params.single(field.name())?.ok_or(Error::MissingCommon(field));

    let action = super::version_and_action(params.single("Version")?, params.single("Action")?)?;
    let access_key = required(Field::AccessKeyId)?;
    let signature = required(Field::Signature)?;
    let method = required(Field::SignatureMethod)?;
    let version = required(Field::SignatureVersion)?;
    let timestamp = required(Field::Timestamp)?;
    let scheme = match (method, version, params.single("SignatureType")?) {
        ("HMAC-SHA1", "1.0", None) => Scheme::HmacSha1,
        ("SHA256withRSA", "1.0", Some("PRIVATEKEY")) => Scheme::Rsa,
        _ => return Err(Error::SignatureMethodNotSupported(SERVED)),
    };
    if params.single("SecurityToken")?.is_some() {
        return Err(Error::AccessKeyNotFound);
    }
    let claim = Claim {
        scheme,
        access_key: super::access_key(access_key)?,
        nonce: super::nonce(params.single("SignatureNonce")?.unwrap_or(signature))?,
        timestamp: super::timestamp(timestamp)?,
        string_to_sign: string_to_sign(call.method, params),
        signature: STANDARD.decode(signature).unwrap_or_default(),
    };
    Ok(Signed { action, claim })
}

/// Builds what is signed. Of a name that came more than once, the last value counts, which is the body's: the old Python SDK
/// adds a RegionId of its own to the query and signs the caller's, in the body.
pub(super) fn string_to_sign(method: Method, params: &Params) -> Zeroizing<String> {
    const TWICE: Times = Times::Twice;
    let mut pairs: Vec<(&str, &str)> = params.iter().filter(|(name, _)| *name != "Signature").collect();
    pairs.sort_by_key(|(name, _)| *name);

    let pairs_length: usize = pairs.iter().map(|(n, v)| percent::length(n, TWICE) + percent::length(v, TWICE) + 6).sum();
    let mut text = Zeroizing::new(String::with_capacity(method.as_str().len() + 5 + pairs_length));
    text.push_str(method.as_str());
    text.push_str("&%2F&");
    for (i, (name, value)) in pairs.iter().enumerate() {
        if pairs.get(i + 1).is_some_and(|(next, _)| next == name) {
            continue;
        }
        percent::push(&mut text, name, TWICE);
        text.push_str("%3D");
        percent::push(&mut text, value, TWICE);
        text.push_str("%26");
    }
    // Between the pairs, not behind the last.
    if !pairs.is_empty() {
        let end = text.len() - "%26".len();
        text.truncate(end);
    }
    text
}
