//! One injective encoding of lists of fields, the associated data of every encryption and the input of every row MAC.
//!
//! Owns: the byte layout below. Must not know: what the fields mean. Used by: envelope, integrity, token (system purposes).
//!
//! ```text
//! "bulla" | format version 0x01 | purpose (1 byte) | field*       field = length (u32, big-endian) | bytes
//! ```
//!
//! Every field carries its length, so two different lists of fields never give the same bytes, and a purpose is never mistaken
//! for another.

/// What an encoding is for; the byte is part of it. Never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// A data key wrapped by a CMK version.
    DataKey = 1,
    /// The value of a secret version.
    Value = 2,
    /// A caller's blob (Encrypt, GenerateDataKey).
    Blob = 3,
    /// An access key's secret, wrapped by SYS.
    AccessKeySecret = 4,
    /// Imported key material.
    ImportedMaterial = 5,
    /// Derivation of the row-MAC key from ROW.
    RowKey = 16,
    /// The MAC of a database row.
    Row = 17,
    /// The tag of suite S3.
    SuiteTag = 18,
    /// Derivation of the key of a node's audit lines from INT.
    AuditLines = 19,
    /// Derivation of the keys of digests from the row key.
    Digests = 24,
    /// The known-answer round of a new key.
    SelfTest = 32,
}

/// Version of the layout, the byte after the tag.
const FORMAT: u8 = 1;

/// A list of fields, encoded as it grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical(Vec<u8>);

impl Canonical {
    /// No fields yet.
    pub fn new(purpose: Purpose) -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(b"bulla");
        bytes.extend_from_slice(&[FORMAT, purpose as u8]);
        Self(bytes)
    }

    /// Adds a field.
    ///
    /// # Panics
    /// On a field of 4 GiB or more; requests are bounded far below.
    pub fn field(mut self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).expect("fields are bounded far below 4 GiB");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a text field, its UTF-8 bytes.
    pub fn text(self, text: &str) -> Self {
        self.field(text.as_bytes())
    }

    /// Adds an integer field, 8 bytes big-endian.
    pub fn integer(self, value: i64) -> Self {
        self.field(&value.to_be_bytes())
    }

    /// Adds a field that may be absent: a presence byte 0, or 1 and the bytes.
    pub fn optional(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            None => self.field(&[0]),
            Some(bytes) => self.field(&[1]).field(bytes),
        }
    }

    /// Adds an integer that may be absent, as [`Canonical::optional`] does with its 8 bytes, big-endian.
    pub fn optional_integer(self, value: Option<i64>) -> Self {
        self.optional(value.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice))
    }

    /// The encoding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(purpose: Purpose, fields: &[Vec<u8>]) -> Canonical {
        fields.iter().fold(Canonical::new(purpose), |c, f| c.field(f))
    }

    /// Reads an encoding back, independently of how it was written.
    fn decode(bytes: &[u8]) -> (u8, Vec<Vec<u8>>) {
        let (head, mut rest) = bytes.split_at(7);
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let (length, tail) = rest.split_at(4);
            let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
            fields.push(tail[..length].to_vec());
            rest = &tail[length..];
        }
        (head[6], fields)
    }

    #[test]
    fn layout() {
        let bytes = Canonical::new(Purpose::Value).text("ab").integer(1).optional(None);
        assert_eq!(
            hex::encode(bytes.as_bytes()),
            "62756c6c610102000000026162000000080000000000000001".to_owned() + "0000000100"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        /// Injective: the fields can be read back, so no two lists share an encoding.
        #[test]
        fn injective(fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..5)) {
            let encoded = encode(Purpose::DataKey, &fields);
            prop_assert_eq!(decode(encoded.as_bytes()), (1, fields));
        }

        /// The same over pairs, where moving a byte over a field border is the classic collision.
        #[test]
        fn different_lists_differ(
            a in prop::collection::vec(prop::collection::vec(0u8..3, 0..3), 0..4),
            b in prop::collection::vec(prop::collection::vec(0u8..3, 0..3), 0..4),
        ) {
            prop_assert_eq!(a == b, encode(Purpose::Row, &a) == encode(Purpose::Row, &b));
        }
    }
}
