//! What the last lines of a node's log tell of its requests: which were begun, and which had an effect.
//!
//! Owns: reading them from the files, the newest first, while the log may be written. Must not know: what is made of it. Called by: app,
//! which compares it with the marks that the database has.
//!
//! A line that is not this node's, or cannot be read, tells nothing here: whoever opens or proves the log says so.

use std::collections::HashSet;
use std::io::{self, BufReader};
use std::path::Path;

use serde::Deserialize;

use super::chain::Head;
use super::file;
use super::line_mac::LineKey;
use super::lines::{Next, next_line};
use super::recover::{FIRST, FileLine, OutcomeLine};
use crate::base::clock::Timestamp;
use crate::base::ids::{NodeId, RequestId};
use crate::base::regular;

/// The most requests that are told, the last ones: 16 bytes each, and what a set of them takes.
const MOST: usize = 200_000;

/// What lines tell.
#[derive(Debug, Default)]
pub struct Told {
    /// The time of the earliest line that was read, if there was one: of what was before nothing is told.
    pub since: Option<Timestamp>,
    /// Requests, commands, and what the service did by itself, that were begun.
    pub begun: HashSet<RequestId>,
    /// Callers' requests that had an effect, with the time of the line that tells it.
    pub done: Vec<(Timestamp, RequestId)>,
}

#[derive(Deserialize)]
struct IntentLine {
    request_id: RequestId,
}

/// Reads a log of this node as far back as a time.
///
/// # Errors
/// When a file cannot be read.
pub fn told(dir: &Path, name: &str, node: &NodeId, key: &LineKey, since: Timestamp) -> io::Result<Told> {
    let mut files = file::all_rotated(dir, name)?;
    files.push(file::present(dir, name));
    let mut told = Told::default();
    for path in files.iter().rev() {
        let first = match told.file(path, &node.to_string(), key, since) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            first => first?,
        };
        if told.begun.len() > MOST || first.is_some_and(|first| first < since) {
            break;
        }
    }
    Ok(told)
}

impl Told {
    /// Takes up what a file tells; the time of its first line.
    fn file(&mut self, path: &Path, node: &str, key: &LineKey, since: Timestamp) -> io::Result<Option<Timestamp>> {
        let mut reader = BufReader::with_capacity(1 << 16, regular::open_itself(path)?);
        let (mut line, mut first) = (Vec::new(), None);
        while next_line(&mut reader, &mut line)? == Next::Line {
            let Some(head) = Head::parse(&line) else { continue };
            let Some(time) = Timestamp::parse(head.time) else { continue };
            first.get_or_insert(time);
            if time >= since && head.node == node && key.verifies(&line) {
                self.since = Some(self.since.map_or(time, |earliest| earliest.min(time)));
                self.line(&head, time, &line);
            }
        }
        Ok(first)
    }

    fn line(&mut self, head: &Head<'_>, time: Timestamp, line: &[u8]) {
        match head.kind {
            // A command is told in two lines of one kind.
            "intent" | "admin" => self.begun.extend(serde_json::from_slice(line).map(|IntentLine { request_id }| request_id)),
            "outcome" => {
                let outcome = serde_json::from_slice(line).ok().filter(OutcomeLine::tells_an_effect);
                self.done.extend(outcome.map(|outcome| (time, outcome.request_id)));
            }
            // What was open when the file before was full.
            FIRST => {
                let open = serde_json::from_slice(line).map(|FileLine { open, .. }| open).unwrap_or_default();
                self.begun.extend(open.into_iter().map(|intent| intent.request_id));
            }
            _ => {}
        }
    }
}
