//! What stands in a line behind its head: a record, or something the log says about itself.
//!
//! Owns: the bodies' JSON. Must not know: files, chains. Called by: `Audit`, writer, repair.

use serde::Serialize;

use super::record::{Kind, OpenIntent, Record};
use crate::base::ids::RequestId;

/// A line without its head.
pub(super) struct Line {
    pub(super) body: Vec<u8>,
    pub(super) change: Change,
}

/// What a line does to the open intents.
pub(super) enum Change {
    None,
    Opens(Box<OpenIntent>),
    Closes(RequestId),
    /// It stays open, and somebody finds out.
    Doubts(Box<OpenIntent>),
}

impl Line {
    pub(super) fn of(record: &Record<'_>) -> Self {
        let change = match record.kind {
            Kind::Intent => Change::Opens(Box::new(OpenIntent::of(record))),
            Kind::Outcome => Change::Closes(record.request_id),
            Kind::Unknown => Change::Doubts(Box::new(OpenIntent::of(record))),
            Kind::Read | Kind::Refused | Kind::Admin => Change::None,
        };
        Self { body: json(record), change }
    }

    /// One that the log writes about itself.
    pub(super) fn own(body: &Own<'_>) -> Self {
        Self { body: json(body), change: Change::None }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("structs of texts and numbers always have a JSON form")
}

/// Bodies of the lines that the log writes about itself.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Own<'a> {
    /// The first line of every file.
    File {
        log: &'a str,
        format: u32,
        reason: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        database: Option<&'a str>,
        open: &'a [OpenIntent],
    },
    /// The log was opened.
    Start,
    /// The log was closed.
    Stop,
    /// Something was put right.
    Recovered(RecoveredLine<'a>),
}

/// What was put right.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum RecoveredLine<'a> {
    /// A line that was not written to its end, or lines of somebody else, cut off at start.
    Crash { reason: &'a str, cut: usize, cut_sha256: String, cut_text: &'a str },
    /// A file that could not be written for a while, and the number of records refused.
    Failure { reason: &'a str, refused: u64 },
}
