//! Documents that AUD signs: a line of JSON, and a line with the signature over it.
//!
//! The signature is over the text `bulla KIND 1`, a newline, and the first line without its newline, as those of audit checkpoints are:
//! ECDSA P-256 (64 bytes r‖s) or RSA, in hexadecimal digits.

use std::io::Read;
use std::path::Path;

use crate::app::{Base, Failure, context};
use crate::base::ids::KeyVersionId;
use crate::base::public_key::PublicKey;
use crate::base::regular;
use crate::token::Token;

/// The longest document that is read, bytes.
const MAX_BYTES: u64 = 1 << 28;

fn text(kind: &str, document: &str) -> Vec<u8> {
    format!("bulla {kind} 1\n{document}").into_bytes()
}

/// A document with its signature, two lines.
pub(super) fn sign(base: &Base, kind: &str, document: &str) -> Result<String, Failure> {
    sign_with(&base.token, &base.deployment.aud_key, kind, document)
}

fn sign_with(token: &Token, aud: &KeyVersionId, kind: &str, document: &str) -> Result<String, Failure> {
    let signature = token.sign(aud, &text(kind, document)).map_err(context("token: AUD"))?;
    Ok(format!("{document}\n{{\"Signature\":\"{}\"}}\n", hex::encode(signature)))
}

/// The signature of the second line, which is one as [`sign`] writes it: nothing stands there that nobody signed.
fn signature_of(line: &str) -> Option<Vec<u8>> {
    let digits = line.strip_prefix("{\"Signature\":\"")?.strip_suffix("\"}")?;
    hex::decode(digits).ok().filter(|signature| hex::encode(signature) == digits)
}

/// Reads a document of a kind from a file; nothing of it is proved.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let opened = regular::open_itself(file).map_err(|e| Failure::local(e.to_string()).hint_of_file(file, e.kind()))?;
    opened.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(Failure::of_file(file))?;
    if text.len() as u64 > MAX_BYTES {
        let failure = Failure::local(format!("{}: it is too long for what it should be", file.display()));
        return Err(failure.hint("name the file that `bulla inventory --to` or `bulla backup` wrote"));
    }
    Ok(text)
}

/// The document, if its signature is by this key.
pub(super) fn prove<'t>(signed: &'t str, kind: &str, key: &PublicKey) -> Result<&'t str, Failure> {
    let none = || Failure::new(format!("this is no signed {kind}")).hint("it is two lines: the document, and its signature");
    let (document, rest) = signed.split_once('\n').ok_or_else(none)?;
    let signature = signature_of(rest.strip_suffix('\n').unwrap_or(rest)).ok_or_else(none)?;
    if key.verifies_message(&text(kind, document), &signature) {
        return Ok(document);
    }
    let hint =
        "it was changed, or signed by another deployment's key; `bulla audit public-key` prints the fingerprint of this one's";
    Err(Failure::new(format!("the signature of the {kind} is not valid")).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stands_beside_a_signature() {
        assert_eq!(signature_of(r#"{"Signature":"0aff"}"#), Some(vec![0x0a, 0xff]));
        for strange in [
            r#"{"Signature":"0aff","Note":"approved"}"#,
            r#"{"Note":"approved","Signature":"0aff"}"#,
            r#"{"Signature":"0AFF"}"#,
            r#"{"Signature": "0aff"}"#,
            "\n{\"Signature\":\"0aff\"}",
            "{\"Signature\":\"0aff\"}\r",
            "",
        ] {
            assert_eq!(signature_of(strange), None, "{strange:?}");
        }
    }
}
