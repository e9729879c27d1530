//! The chain: how a line is numbered, linked to the one before, and read back.
//!
//! Owns: the members that every line begins with, and the text that a checkpoint signs. Must not know: files, what lines say.
//! Called by: writer, recover, verify.

use aws_lc_rs::digest;

use super::line_mac::{self, LineKey};

/// Version of the format, in every `file` line.
pub(super) const FORMAT: u32 = 1;

/// The highest number that a line can have: what follows it can still be counted.
const MAX_SEQ: u64 = u64::MAX >> 1;

/// SHA-256 of a line without its newline.
pub type Hash = [u8; 32];

/// The hash of a line without its newline.
pub fn hash(line: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest::digest(&digest::SHA256, line).as_ref());
    hash
}

/// Where the chain stands: the next line's number and the hash it links to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) next_seq: u64,
    pub(super) prev: Hash,
}

impl Position {
    /// Before the first line of all.
    pub(super) const ORIGIN: Position = Position { next_seq: 1, prev: [0; 32] };

    /// Writes the next line to `out`; `body` is a JSON object whose first member is `kind`.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, key: &LineKey, time: &str, node: &str, body: &[u8]) {
        debug_assert!(body.starts_with(b"{\"kind\":") && !body.contains(&b'\n'));
        let begin = out.len();
        let mut prev = [0; 64];
        hex::encode_to_slice(self.prev, &mut prev).expect("64 digits hold 32 bytes");
        out.extend_from_slice(format!(r#"{{"seq":{},"time":"{time}","node":"{node}","prev":""#, self.next_seq).as_bytes());
        out.extend_from_slice(&prev);
        out.extend_from_slice(b"\",");
        out.extend_from_slice(&body[1..body.len() - 1]);
        key.close(out, begin);
        *self = Position { next_seq: self.next_seq + 1, prev: hash(&out[begin..]) };
        out.push(b'\n');
    }
}

/// The members that every line begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) seq: u64,
    pub(super) time: &'a str,
    pub(super) node: &'a str,
    pub(super) prev: Hash,
    pub(super) kind: &'a str,
}

impl<'a> Head<'a> {
    /// Reads a line without its newline; none unless it has exactly the form that `append` writes.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?.strip_suffix('}')?;
        let (seq, rest) = text.strip_prefix(r#"{"seq":"#)?.split_once(r#","time":""#)?;
        let (time, rest) = rest.split_once(r#"","node":""#)?;
        let (node, rest) = rest.split_once(r#"","prev":""#)?;
        let (prev, rest) = rest.split_once(r#"","kind":""#)?;
        let (kind, _) = rest.split_once('"')?;
        // One way to write a number, so that one line has one text.
        let canonical = seq.bytes().all(|b| b.is_ascii_digit()) && (seq == "0" || !seq.starts_with('0'));
        let seq = seq.parse().ok().filter(|seq| *seq <= MAX_SEQ)?;
        line_mac::split(line)?;
        canonical.then_some(Self { seq, time, node, prev: digits(prev)?, kind })
    }
}

/// Bytes from lower-case hex digits.
pub(super) fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    (!text.bytes().any(|b| b.is_ascii_uppercase())).then_some(bytes)
}

/// That the line of this number has this hash: what a checkpoint states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) at: u64,
    pub(super) hash: Hash,
    /// What the database was last said to be at; see [`super::Audit::set_anchor`].
    pub(super) anchor: Option<String>,
    /// When it was asked for; the time of the checkpoint line.
    pub(super) time: String,
}

impl Statement {
    /// What is signed.
    pub(super) fn text(&self, node: &str) -> String {
        let Statement { at, hash, anchor, time } = self;
        let anchor = anchor.as_deref().unwrap_or("unknown");
        format!("bulla audit checkpoint 1\nnode {node}\nseq {at}\nhash {}\ndatabase {anchor}\ntime {time}\n", hex::encode(hash))
    }

    /// The body of the checkpoint line.
    pub(super) fn body(&self, signature: &[u8]) -> String {
        let (hash, sig) = (hex::encode(self.hash), hex::encode(signature));
        let anchor = self.anchor.as_deref().map(|anchor| format!(r#""database":"{anchor}","#)).unwrap_or_default();
        format!(r#"{{"kind":"checkpoint","at":{},"hash":"{hash}",{anchor}"sig":"{sig}"}}"#, self.at)
    }

    /// Reads a checkpoint line with its signature; none unless it has exactly the form that is written.
    pub(super) fn parse(line: &[u8], time: &str) -> Option<(Self, Vec<u8>)> {
        let text = std::str::from_utf8(line_mac::split(line)?.0).ok()?;
        let (_, rest) = text.split_once(r#""kind":"checkpoint","at":"#)?;
        let (at, rest) = rest.split_once(r#","hash":""#)?;
        let (hash, rest) = rest.split_once('"')?;
        let (anchor, rest) = match rest.strip_prefix(r#","database":""#) {
            Some(rest) => rest.split_once('"').map(|(anchor, rest)| (Some(anchor.to_owned()), rest))?,
            None => (None, rest),
        };
        let signature = hex::decode(rest.strip_prefix(r#","sig":""#)?.strip_suffix('"')?).ok()?;
        let statement = Self { at: at.parse().ok()?, hash: digits(hash)?, anchor, time: time.to_owned() };
        let body = statement.body(&signature);
        text.ends_with(&body[1..body.len() - 1]).then_some((statement, signature))
    }
}
