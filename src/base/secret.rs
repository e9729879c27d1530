//! Secrets as types: no Debug of their content, no Clone, no Serialize; wiped when dropped.
//!
//! Owns: the kinds of secret bytes that pass through the process. `expose` is called where bytes must leave the type
//! (envelope, wire encoding, signatures, token); a test holds the list of those places. Used by all.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::text::without_mark;

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

/// A 256-bit data key, used for exactly one encryption.
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Takes the bytes over.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Bytes of a value as it travels: of a text, or of the Base64 of bytes (CreateSecret, SecretData).
pub const VALUE_BYTES: std::ops::RangeInclusive<usize> = 1..=30_720;

/// The value of a secret version.
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Whether the two are the same; in a time that tells at most whether their lengths are.
    pub fn same(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Base64 (the standard alphabet, padded) is how the API writes bytes as text.
impl Plaintext {
    /// The text of these bytes.
    pub fn base64(bytes: &[u8]) -> Self {
        Self::new(STANDARD.encode(bytes).into_bytes())
    }

    /// These bytes as text.
    pub fn to_base64(&self) -> Self {
        Self::base64(&self.0)
    }

    /// The bytes of this text; none if it is not Base64.
    pub fn from_base64(&self) -> Option<Self> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.0.len()));
        STANDARD.decode_vec(&*self.0, &mut bytes).ok()?;
        Some(Self::new(std::mem::take(&mut *bytes)))
    }
}

impl<'de> serde::Deserialize<'de> for Plaintext {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self::new(String::deserialize(d)?.into_bytes()))
    }
}

/// Key material that a caller imports, where the token cannot unwrap it itself.
pub struct KeyMaterial(Zeroizing<Vec<u8>>);

impl KeyMaterial {
    /// Takes the bytes over.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// The secret half of an access key: ASCII text, the HMAC key of request signatures.
pub struct AccessKeySecret(Zeroizing<Vec<u8>>);

impl AccessKeySecret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// The password of a PKCS #12 file, chosen by the caller who gets it: 8 to 64 characters of two bytes (CreateClientKey).
pub struct Password(Zeroizing<String>);

impl Password {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<'de> serde::Deserialize<'de> for Password {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(d)?);
        // What a PKCS #12 file can be opened with: its passwords are of characters of two bytes (RFC 7292, B.1), and a NUL ends them.
        let fits = text.chars().all(|c| u32::from(c) <= 0xffff && !c.is_control());
        match text.chars().count() {
            8..=64 if fits => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("8 to 64 characters, none of them a control character or above U+FFFF")),
        }
    }
}

/// The user PIN of the token.
pub struct Pin(Zeroizing<String>);

impl Pin {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Takes over a line that somebody has written: without its end, and without the mark that some editors put at a file's beginning.
    ///
    /// # Errors
    /// What it has or is that no PIN has. Presented, it would cost one of the few tries that a token allows.
    pub fn of_text(text: String) -> Result<Self, &'static str> {
        let text = Zeroizing::new(text);
        let line = without_mark(&text);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return Err("is empty");
        }
        if line.chars().all(char::is_whitespace) {
            return Err("is only blanks");
        }
        if line.contains(['\r', '\n', '\u{2028}', '\u{2029}']) {
            return Err("has more than one line");
        }
        if line.chars().any(char::is_control) {
            return Err("has control characters");
        }
        Ok(Self::new(line.to_owned()))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The password of an account on a managed server: 1 to 128 printable ASCII characters, which every server takes unchanged.
pub struct AccountPassword(Zeroizing<String>);

impl AccountPassword {
    /// Takes the text over; none when it is no such password.
    pub fn new(text: String) -> Option<Self> {
        let text = Zeroizing::new(text);
        let valid = (1..=128).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        valid.then_some(Self(text))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<'de> serde::Deserialize<'de> for AccountPassword {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let expected = || serde::de::Error::custom("expected 1 to 128 printable ASCII characters");
        Self::new(String::deserialize(d)?).ok_or_else(expected)
    }
}

/// Overwrites what calls that have returned left on the stack: those that the caller made last, as far down as they will have gone.
#[inline(never)]
pub fn wipe_stack() {
    let mut below = [0u8; 16 * 1024];
    zeroize::Zeroize::zeroize(std::hint::black_box(&mut below));
}

redacted!(DataKey, Plaintext, KeyMaterial, AccessKeySecret, AccountPassword, Password, Pin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_that_a_file_can_be_opened_with() {
        let read = |text: &str| serde_json::from_value::<Password>(text.into()).is_ok();
        for (text, good) in [
            ("correct horse", true),
            ("pässwörd数据", true),
            ("1234567", false),
            (&*"x".repeat(64), true),
            (&*"x".repeat(65), false),
            ("pass\u{1f600}word", false),
            ("pass\0word", false),
            ("pass\nword", false),
        ] {
            assert_eq!(read(text), good, "{text:?}");
        }
    }

    #[test]
    fn what_can_be_no_pin_is_none() {
        let read = |text: &str| Pin::of_text(text.to_owned()).map(|pin| pin.expose().to_owned());
        for (text, pin) in
            [("1234", "1234"), ("1234\r\n", "1234"), ("\u{feff}1234\n\n", "1234"), (" 12 34 \n", " 12 34 "), ("pä", "pä")]
        {
            assert_eq!(read(text).as_deref(), Ok(pin), "{text:?}");
        }
        for (text, why) in [
            ("", "is empty"),
            ("\n", "is empty"),
            ("\u{feff}\r\n", "is empty"),
            ("  \n", "is only blanks"),
            ("\u{a0}\n", "is only blanks"),
            ("1234\n5678\n", "has more than one line"),
            ("\n1234\n", "has more than one line"),
            ("12\r34", "has more than one line"),
            ("1234\u{2028}", "has more than one line"),
            ("1234\0\n", "has control characters"),
            ("1234\t", "has control characters"),
            ("1234\u{85}\n", "has control characters"),
        ] {
            assert_eq!(read(text), Err(why), "{text:?}");
        }
    }
}
