//! The two signatures, from the description of the protocol. Pure: text in, text out.
//!
//! ```text
//! RPC 1.0   Base64(HMAC-SHA1(secret + "&", METHOD & %2F & pe(pairs)))     pairs = pe(name)=pe(value) joined by &, sorted by name
//! ACS3      hex(HMAC-SHA256(secret, "ACS3-HMAC-SHA256" \n hex(SHA-256(canonical request))))
//! canonical request = METHOD \n / \n pairs of the query \n name:value \n for each signed header \n names \n hex(SHA-256(body))
//! ```

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// RPC signature 1.0, HMAC-SHA1 over all parameters.
    Rpc,
    /// ACS3-HMAC-SHA256 over query, headers and body.
    #[default]
    Acs3,
}

/// A name and its value, as a caller writes them.
pub type Pair<'a> = (&'a str, &'a str);

/// Percent-encoding of RFC 3986: letters, digits and `-_.~` stay.
pub fn percent_encode(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(3 * text.len()));
    push_encoded(&mut out, text);
    out
}

fn push_encoded(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// `name=value&…`, encoded, in the order given: a form body, or a query.
pub fn form(pairs: &[Pair<'_>]) -> Zeroizing<String> {
    // All at once: a buffer that grows would leave copies behind.
    let length = pairs.iter().map(|(n, v)| 3 * (n.len() + v.len()) + 2).sum();
    let mut out = Zeroizing::new(String::with_capacity(length));
    for (i, (name, value)) in pairs.iter().enumerate() {
        if i > 0 {
            out.push('&');
        }
        push_encoded(&mut out, name);
        out.push('=');
        push_encoded(&mut out, value);
    }
    out
}

/// The same, sorted by name.
pub fn canonical_form(pairs: &[Pair<'_>]) -> Zeroizing<String> {
    let mut sorted = pairs.to_vec();
    sorted.sort_unstable();
    form(&sorted)
}

/// What the RPC scheme signs: the method and all parameters but `Signature`, from query and body alike.
pub fn rpc_string_to_sign(method: &str, parameters: &[Pair<'_>]) -> Zeroizing<String> {
    let pairs = percent_encode(&canonical_form(parameters));
    Zeroizing::new([method, "&%2F&", &pairs].concat())
}

/// The parameter `Signature` of the RPC scheme.
pub fn rpc_signature(secret: &[u8], string_to_sign: &str) -> String {
    let key = Zeroizing::new([secret, b"&"].concat());
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    STANDARD.encode(hmac::sign(&key, string_to_sign.as_bytes()))
}

/// Lower-case hex of SHA-256.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// A request as ACS3 sees it.
pub struct Acs3<'a> {
    /// `POST` or `GET`.
    pub method: &'a str,
    /// Parameters of the query.
    pub query: &'a [Pair<'a>],
    /// The headers that are signed, names in lower case.
    pub headers: &'a [Pair<'a>],
    /// The body's bytes.
    pub body: &'a [u8],
}

impl Acs3<'_> {
    /// The header Authorization.
    pub fn authorization(&self, id: &str, secret: &[u8]) -> String {
        let mut headers = self.headers.to_vec();
        headers.sort_unstable();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let query = canonical_form(self.query);
        let hash = sha256_hex(self.body);
        let canonical = Zeroizing::new([self.method, "\n/\n", &query, "\n", &lines, "\n", &names, "\n", &hash].concat());
        let text = format!("ACS3-HMAC-SHA256\n{}", sha256_hex(canonical.as_bytes()));
        let signature = hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes()));
        format!("ACS3-HMAC-SHA256 Credential={id},SignedHeaders={names},Signature={signature}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the API's documentation of signatures (CreateKey by GET).
    #[test]
    fn rpc_vector() {
        let parameters = [
            ("Version", "2016-01-20"),
            ("AccessKeyId", "testid"),
            ("Action", "CreateKey"),
            ("Format", "json"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("Timestamp", "2016-03-28T03:13:08Z"),
        ];
        let text = rpc_string_to_sign("GET", &parameters);
        assert_eq!(rpc_signature(b"testsecret", &text), "41wk2SSX1GJh7fwnc5eqOfiJPFg=");
    }

    #[test]
    fn rpc_vector_with_awkward_characters() {
        let parameters = [
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
        ];
        let text = rpc_string_to_sign("POST", &parameters);
        assert_eq!(rpc_signature(b"testsecret", &text), "stvz3M8qovvGKHQdNfBT5gqJecI=");
    }

    /// The platform's published example of ACS3 (ECS RunInstances).
    #[test]
    fn acs3_vector() {
        let request = Acs3 {
            method: "POST",
            query: &[("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"), ("RegionId", "cn-shanghai")],
            headers: &[
                ("host", "ecs.cn-shanghai.aliyuncs.com"),
                ("x-acs-action", "RunInstances"),
                ("x-acs-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
                ("x-acs-date", "2023-10-26T10:22:32Z"),
                ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
                ("x-acs-version", "2014-05-26"),
            ],
            body: b"",
        };
        let header = request.authorization("YourAccessKeyId", b"YourAccessKeySecret");
        assert!(header.ends_with("Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"), "{header}");
    }

    #[test]
    fn names_that_sort_between_others() {
        // Sorted as texts before they are encoded, so that `a.1` stands before `a1`.
        assert_eq!(*canonical_form(&[("a1", ""), ("a.10", "x y"), ("a.1", "é")]), "a.1=%C3%A9&a.10=x%20y&a1=");
    }
}
