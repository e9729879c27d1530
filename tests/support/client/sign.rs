//! The two signatures, from the description of the protocol. Pure: text in, text out.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use aws_lc_rs::{digest, hmac, rsa};
use base64::Engine;

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

/// Percent-encoding of RFC 3986: letters, digits and `-_.~` stay.
pub fn percent_encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len() + text.len() / 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

/// `name=value&…`, encoded, in the order given.
pub(super) fn query_as_given(pairs: &Pairs) -> String {
    let encoded: Vec<String> = pairs.iter().map(|(n, v)| format!("{}={}", percent_encode(n), percent_encode(v))).collect();
    encoded.join("&")
}

/// The same, sorted by name.
pub(super) fn canonical_query(pairs: &Pairs) -> String {
    let mut sorted = pairs.to_vec();
    sorted.sort();
    query_as_given(&sorted)
}

/// What the RPC scheme signs: the method and all parameters but Signature.
pub fn rpc_string_to_sign(method: &str, parameters: &Pairs) -> String {
    format!("{method}&%2F&{}", percent_encode(&canonical_query(parameters)))
}

/// The parameter Signature.
pub(super) fn rpc_signature(secret: &str, string_to_sign: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, format!("{secret}&").as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hmac::sign(&key, string_to_sign.as_bytes()))
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

/// Lower-case hex of SHA-256.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// The header Authorization of ACS3; signs all of `headers` (names in lower case).
pub(super) fn acs3_authorization(id: &str, secret: &str, method: &str, query: &Pairs, headers: &Pairs, body: &str) -> String {
    let mut sorted = headers.to_vec();
    sorted.sort();
    let names: Vec<&str> = sorted.iter().map(|(n, _)| n.as_str()).collect();
    let names = names.join(";");
    let lines: String = sorted.iter().map(|(n, v)| format!("{n}:{}\n", v.trim())).collect();
    let canonical = format!("{method}\n/\n{}\n{lines}\n{names}\n{}", canonical_query(query), sha256_hex(body.as_bytes()));
    let text = format!("ACS3-HMAC-SHA256\n{}", sha256_hex(canonical.as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hex::encode(hmac::sign(&key, text.as_bytes()));
    format!("ACS3-HMAC-SHA256 Credential={id},SignedHeaders={names},Signature={signature}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    /// The example of the API's documentation of signatures (CreateKey by GET).
    #[test]
    fn rpc_vector() {
        let parameters = pairs(&[
            ("Version", "2016-01-20"),
            ("AccessKeyId", "testid"),
            ("Action", "CreateKey"),
            ("Format", "json"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("Timestamp", "2016-03-28T03:13:08Z"),
        ]);
        let text = rpc_string_to_sign("GET", &parameters);
        assert_eq!(rpc_signature("testsecret", &text), "41wk2SSX1GJh7fwnc5eqOfiJPFg=");
    }

    #[test]
    fn rpc_vector_with_awkward_characters() {
        let parameters = pairs(&[
            ("SecretName", "app/db-1"),
            ("VersionId", "v1"),
            ("Description", "数据库 password"),
            ("SecretData", r#"{"user":"root","pw":"a b+c*d~e/f=g&h%"}"#),
            ("Version", "2016-01-20"),
            ("Action", "CreateSecret"),
            ("Format", "JSON"),
            ("RegionId", "cn-hangzhou"),
            ("Timestamp", "2026-01-02T03:04:05Z"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureType", ""),
            ("SignatureVersion", "1.0"),
            ("SignatureNonce", "0123456789abcdef0123456789abcdef"),
            ("AccessKeyId", "testid"),
        ]);
        let text = rpc_string_to_sign("POST", &parameters);
        assert_eq!(rpc_signature("testsecret", &text), "stvz3M8qovvGKHQdNfBT5gqJecI=");
    }

    /// The platform's published example of ACS3 (ECS RunInstances).
    #[test]
    fn acs3_vector() {
        let query = pairs(&[("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"), ("RegionId", "cn-shanghai")]);
        let headers = pairs(&[
            ("host", "ecs.cn-shanghai.aliyuncs.com"),
            ("x-acs-action", "RunInstances"),
            ("x-acs-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("x-acs-date", "2023-10-26T10:22:32Z"),
            ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
            ("x-acs-version", "2014-05-26"),
        ]);
        let header = acs3_authorization("YourAccessKeyId", "YourAccessKeySecret", "POST", &query, &headers, "");
        assert!(header.ends_with("Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"), "{header}");
    }
}
