//! The signatures: those of the client crate, which shares nothing with the server's verification; and that of client keys.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
pub(super) use bulla_client::sign::sha256_hex;
use bulla_client::sign::{self, Acs3};

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RPC signature 1.0, HMAC-SHA1 over the parameters.
    RpcV1,
    /// The same string, signed with RSA by the holder of a client key. The secret is the private key: Base64 of PKCS #8.
    RpcRsa,
    /// ACS3-HMAC-SHA256 over query, headers and body.
    Acs3,
}

type Pairs = [(String, String)];

fn borrowed(pairs: &Pairs) -> Vec<(&str, &str)> {
    pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
}

/// Percent-encoding of RFC 3986: letters, digits and `-_.~` stay.
pub fn percent_encode(text: &str) -> String {
    sign::percent_encode(text).to_string()
}

/// `name=value&…`, encoded, in the order given.
pub(super) fn query_as_given(pairs: &Pairs) -> String {
    sign::form(&borrowed(pairs)).to_string()
}

/// The same, sorted by name.
pub(super) fn canonical_query(pairs: &Pairs) -> String {
    sign::canonical_form(&borrowed(pairs)).to_string()
}

/// What the RPC scheme signs: the method and all parameters but Signature.
pub fn rpc_string_to_sign(method: &str, parameters: &Pairs) -> String {
    sign::rpc_string_to_sign(method, &borrowed(parameters)).to_string()
}

/// The parameter Signature.
pub(super) fn rpc_signature(secret: &str, string_to_sign: &str) -> String {
    sign::rpc_signature(secret.as_bytes(), string_to_sign)
}

/// The same of a client key.
///
/// # Panics
/// When the secret is no RSA key.
pub(super) fn rsa_signature(secret: &str, string_to_sign: &str) -> String {
    let base64 = base64::engine::general_purpose::STANDARD;
    let pair = rsa::KeyPair::from_pkcs8(&base64.decode(secret).expect("Base64")).expect("an RSA key");
    let mut signature = vec![0; pair.public_modulus_len()];
    let random = SystemRandom::new();
    pair.sign(&RSA_PKCS1_SHA256, &random, string_to_sign.as_bytes(), &mut signature).expect("a signature");
    base64.encode(signature)
}

/// The header Authorization of ACS3; signs all of `headers` (names in lower case).
pub(super) fn acs3_authorization(id: &str, secret: &str, method: &str, query: &Pairs, headers: &Pairs, body: &str) -> String {
    let (query, headers) = (borrowed(query), borrowed(headers));
    Acs3 { method, query: &query, headers: &headers, body: body.as_bytes() }.authorization(id, secret.as_bytes())
}
