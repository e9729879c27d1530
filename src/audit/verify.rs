//! Proof of a log, with nothing but its files and the public half of AUD.
//!
//! Owns: the checks and the report; what reads a log proves it in the same pass. Must not know: tokens, the writer. Called by: admin
//! (`bulla audit verify` and `search`).
//!
//! What it shows: no line up to the last checkpoint was changed, removed, added or moved. Lines behind it
//! ([`Report::unproven`]) form a chain, but whoever can write the file could have made them, unless the keys of the lines' MACs are
//! there ([`Keys::lines`]): then the service wrote them. A file that was cut exactly behind an earlier line is a sound, shorter file:
//! [`Report::closed`] is false then, and [`Report::last_seq`] is less than what was seen before; the database knows that number.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::base::public_key::PublicKey;

use super::chain::{self, Hash, Head, Position, Statement};
use super::file;
use super::line_mac::LineKey;
use super::lines::{Next, next_line};
use super::record::INITIALISE;
use super::recover;

/// What a sound log holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines of every kind.
    pub lines: u64,
    /// Checkpoints; every signature was verified.
    pub checkpoints: u64,
    /// Number of the first line; 1 when nothing before it is missing.
    pub first_seq: u64,
    /// Number of the last line.
    pub last_seq: u64,
    /// Time of the first line.
    pub first_time: String,
    /// Time of the last line.
    pub last_time: String,
    /// Number of the last line that a checkpoint proves; 0 when none does.
    pub proved: u64,
    /// Lines behind that.
    pub unproven: u64,
    /// Bytes of a last line that has no end: the log is being written, or a crash tore it.
    pub torn_bytes: u64,
    /// Times that the log noted a crash or a failure to write.
    pub recoveries: u64,
    /// Whether it ends as a log does that was closed: `stop`, checkpoint.
    pub closed: bool,
    /// What the log itself noted, when it was opened, that it lacks of what was written before.
    pub missing: Vec<String>,
    /// The deployment's id, where a proved line of `bulla init` says it.
    pub deployment: Option<String>,
}

/// The first thing that does not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// Line of the file, from 1; 0 when it is not about a line.
    pub line: u64,
    /// What is wrong there.
    pub flaw: Flaw,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// The public key is no PEM text of a P-256 key.
    PublicKey,
    /// The file cannot be read; why.
    Unreadable(String),
    /// The file has no line.
    Empty,
    /// The line does not have the form of this log.
    NotALine,
    /// A file does not begin with a `file` line: its beginning is missing.
    Beginning,
    /// The line's number does not follow the one before.
    Sequence {
        /// The number that should be there.
        expected: u64,
        /// The number that is.
        found: u64,
    },
    /// The line was written by another node than those before.
    Node,
    /// `prev` is not the hash of the line before: that line was changed, or this is not the one that followed it.
    Link,
    /// The checkpoint is not about a line of these files, or that line's hash is another.
    Checkpoint,
    /// The checkpoint's signature is not by this key over this statement.
    Signature,
    /// The line's MAC is not that of the node: it was changed, or written by somebody else.
    Mac,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::PublicKey => f.write_str("the public key is no PEM text of a P-256 key"),
            Flaw::Unreadable(reason) => write!(f, "cannot be read: {reason}"),
            Flaw::Empty => f.write_str("has no line"),
            Flaw::NotALine => f.write_str("not a line of an audit log"),
            Flaw::Beginning => f.write_str("the beginning of the file is missing"),
            Flaw::Sequence { expected, found } => write!(f, "number {found} where {expected} should follow"),
            Flaw::Node => f.write_str("written by another node than the lines before"),
            Flaw::Link => f.write_str("does not follow the line before, or that line was changed"),
            Flaw::Checkpoint => f.write_str("the checkpoint is about a line that is not there, or was changed"),
            Flaw::Signature => f.write_str("the checkpoint's signature is not valid"),
            Flaw::Mac => f.write_str("changed, or written by somebody else: the MAC is not the node's"),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file.display(), self.flaw),
            line => write!(f, "{}, line {line}: {}", self.file.display(), self.flaw),
        }
    }
}

impl std::error::Error for Broken {}

/// The files of a log in the order of their lines: rotated ones, then the present one.
///
/// # Errors
/// When the folder cannot be read.
pub fn log_files(dir: &Path, name: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = file::all_rotated(dir, name)?;
    files.push(file::present(dir, name));
    Ok(files)
}

/// Proves one file.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(path: &Path, keys: &Keys) -> Result<Report, Broken> {
    verify_files(&[path], keys)
}

/// What proves a log.
pub struct Keys {
    /// The public half of AUD: PEM text of a SubjectPublicKeyInfo.
    pub public: Vec<u8>,
    /// The key of a node's lines, where INT is at hand.
    pub lines: Option<LineKeys>,
}

/// Makes the key of a node's lines, by the text of its id; none when it cannot.
pub type LineKeys = Box<dyn Fn(&str) -> Option<LineKey>>;

impl Keys {
    /// Nothing but the public half of AUD.
    pub fn public(pem: impl Into<Vec<u8>>) -> Self {
        Self { public: pem.into(), lines: None }
    }
}

/// Proves files that follow each other.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify_files(paths: &[impl AsRef<Path>], keys: &Keys) -> Result<Report, Broken> {
    let (report, broken) = read(paths, keys, &mut |_| true);
    broken.map_or(Ok(report), Err)
}

/// A line that follows the one before, as it is read. The next checkpoint proves it.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// When it was written.
    pub time: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// The whole of it.
    pub text: &'a [u8],
}

/// Proves files that follow each other, and shows each line that holds, in order; `each` says whether to go on. Answers what was
/// read, and the first thing that does not hold, if any: then nothing behind it was shown.
pub fn read(paths: &[impl AsRef<Path>], keys: &Keys, each: &mut dyn FnMut(&Line<'_>) -> bool) -> (Report, Option<Broken>) {
    let first = paths.first().map_or(Path::new(""), AsRef::as_ref);
    let Some(key) = public_key(&keys.public) else {
        return (Report::default(), Some(Broken { file: first.to_owned(), line: 0, flaw: Flaw::PublicKey }));
    };
    let mut proof = Proof::new(key, keys.lines.as_ref());
    for path in paths.iter().map(AsRef::as_ref) {
        match proof.file(path, each) {
            Ok(true) => {}
            Ok(false) => break,
            Err(broken) => return (proof.report, Some(broken)),
        }
    }
    (proof.report, None)
}

/// What stands in a SubjectPublicKeyInfo before the point of a P-256 key (RFC 5480).
const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A public key in PEM: of EC P-256 or of RSA, as AUD is.
pub fn public_key(pem: &[u8]) -> Option<PublicKey> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once("-----BEGIN PUBLIC KEY-----")?;
    let (body, _) = rest.split_once("-----END PUBLIC KEY-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    let info = STANDARD.decode(body).ok()?;
    let ec = info.strip_prefix(&P256_INFO).is_some_and(|point| point.len() == 65);
    let key = PublicKey::from_der(info);
    (ec || key.rsa_bits().is_some_and(|bits| bits >= 2048)).then_some(key)
}

/// What the first line of a file says to be missing before it.
fn missing(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct FileLine {
        reason: String,
    }
    let FileLine { reason } = serde_json::from_slice(line).ok()?;
    recover::is_a_loss(&reason).then_some(reason)
}

/// The deployment that a line of a command speaks of, if it is that of `bulla init`.
fn deployment(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct AdminLine {
        action: String,
        resource: String,
    }
    let AdminLine { action, resource } = serde_json::from_slice(line).ok()?;
    let named = resource.strip_prefix("deployment/").filter(|_| action == INITIALISE)?;
    named.split(' ').next().map(str::to_owned)
}

/// The state between two lines.
struct Proof<'a> {
    key: PublicKey,
    line_keys: Option<&'a LineKeys>,
    line_key: Option<LineKey>,
    report: Report,
    /// None before the first line, which may follow anything.
    position: Option<Position>,
    node: String,
    /// Hashes of the lines that a checkpoint may still speak of; the last is the last line's.
    hashes: VecDeque<Hash>,
    /// Whether the line before was the last before an orderly end.
    stopped: bool,
    /// Which deployment a line that is not proved yet speaks of, and the line's number.
    claimed: Option<(u64, String)>,
}

impl<'a> Proof<'a> {
    fn new(key: PublicKey, line_keys: Option<&'a LineKeys>) -> Self {
        let (report, hashes) = (Report::default(), VecDeque::new());
        let (node, claimed) = (String::new(), None);
        Self { key, line_keys, line_key: None, report, position: None, node, hashes, stopped: false, claimed }
    }

    /// Reads a file; false when nobody wants to see more.
    fn file(&mut self, path: &Path, each: &mut dyn FnMut(&Line<'_>) -> bool) -> Result<bool, Broken> {
        let broken = |line, flaw| Broken { file: path.to_owned(), line, flaw };
        let unreadable = |e: io::Error| broken(0, Flaw::Unreadable(e.to_string()));
        if self.report.torn_bytes > 0 {
            return Err(broken(1, Flaw::Link)); // the file before this one does not end
        }
        let mut reader = BufReader::with_capacity(1 << 18, File::open(path).map_err(unreadable)?);
        let mut line = Vec::new();
        for number in 1u64.. {
            match next_line(&mut reader, &mut line).map_err(unreadable)? {
                Next::Line => {}
                Next::End if number == 1 => return Err(broken(0, Flaw::Empty)),
                Next::End => {
                    self.report.torn_bytes = line.len() as u64;
                    break;
                }
                Next::TooLong => return Err(broken(number, Flaw::NotALine)),
            }
            let head = self.line(&line, number == 1).map_err(|flaw| broken(number, flaw))?;
            if !each(&Line { time: head.time, kind: head.kind, text: &line }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn line<'l>(&mut self, line: &'l [u8], first_of_file: bool) -> Result<Head<'l>, Flaw> {
        let head = Head::parse(line).ok_or(Flaw::NotALine)?;
        if first_of_file && head.kind != recover::FIRST {
            return Err(Flaw::Beginning);
        }
        match self.position {
            None => {
                self.report.first_seq = head.seq;
                head.time.clone_into(&mut self.report.first_time);
                head.node.clone_into(&mut self.node);
                self.line_key = self.line_keys.and_then(|keys| keys(head.node));
                if head.seq == Position::ORIGIN.next_seq && head.prev != Position::ORIGIN.prev {
                    return Err(Flaw::Link);
                }
            }
            Some(Position { next_seq, .. }) if head.seq != next_seq => {
                return Err(Flaw::Sequence { expected: next_seq, found: head.seq });
            }
            Some(Position { prev, .. }) if head.prev != prev => return Err(Flaw::Link),
            Some(_) if head.node != self.node => return Err(Flaw::Node),
            Some(_) => {}
        }
        if self.line_key.as_ref().is_some_and(|key| !key.verifies(line)) || self.line_keys.is_some() && self.line_key.is_none()
        {
            return Err(Flaw::Mac);
        }
        let report = &mut self.report;
        report.closed = false;
        report.lines += 1;
        report.last_seq = head.seq;
        head.time.clone_into(&mut report.last_time);
        match head.kind {
            "checkpoint" => self.checkpoint(&head, line)?,
            "recovered" => report.recoveries += 1,
            "admin" if report.deployment.is_none() && self.claimed.is_none() => {
                self.claimed = deployment(line).map(|id| (head.seq, id));
            }
            recover::FIRST => report.missing.extend(missing(line)),
            _ => {}
        }
        self.report.unproven = if self.report.proved == 0 { self.report.lines } else { head.seq - self.report.proved };
        let prev = chain::hash(line);
        self.position = Some(Position { next_seq: head.seq.saturating_add(1), prev });
        self.hashes.push_back(prev);
        self.stopped = head.kind == "stop";
        Ok(head)
    }

    fn checkpoint(&mut self, head: &Head<'_>, line: &[u8]) -> Result<(), Flaw> {
        let (statement, signature) = Statement::parse(line, head.time).ok_or(Flaw::NotALine)?;
        // How far back the line is: 1 is the line before.
        let back = head.seq.checked_sub(statement.at).ok_or(Flaw::Checkpoint)?;
        let back = usize::try_from(back).map_err(|_| Flaw::Checkpoint)?;
        let at = self.hashes.len().checked_sub(back).ok_or(Flaw::Checkpoint)?;
        if self.hashes.get(at) != Some(&statement.hash) {
            return Err(Flaw::Checkpoint);
        }
        if !self.key.verifies_message(statement.text(&self.node).as_bytes(), &signature) {
            return Err(Flaw::Signature);
        }
        self.hashes.drain(..at);
        self.report.checkpoints += 1;
        // A checkpoint of the line before it proves itself: everything in it is signed.
        let proved = if back == 1 { head.seq } else { statement.at };
        self.report.proved = self.report.proved.max(proved);
        self.report.closed = back == 1 && self.stopped;
        if let Some((_, id)) = self.claimed.take_if(|(at, _)| *at <= self.report.proved) {
            self.report.deployment = Some(id);
        }
        Ok(())
    }
}
