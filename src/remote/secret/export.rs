//! `bulla secret export`.

use std::collections::HashSet;

use bulla_client::{Error, Selector, Value};

use super::super::{Session, failure, terminal, usage};
use super::formats::{self, Entry};
use crate::base::failure::Failure;
use crate::base::locale::t;
use crate::cli::Export;
use crate::output::progress::Progress;

/// Values that are asked for at a time.
const READ: usize = 160;

/// Runs the command.
pub(super) fn run(session: &Session, asked: &Export) -> Result<(), Failure> {
    let (names, prefix): (Vec<String>, &str) = match &asked.prefix {
        Some(prefix) => {
            let found = session.client.list_secrets(prefix).map_err(failure(prefix))?;
            // What waits for its deletion has no value.
            let live = found.into_iter().filter(|secret| secret.planned_delete_time.is_none());
            (live.map(|secret| secret.secret_name).collect(), prefix.as_str())
        }
        // Who is named twice is written once.
        None => {
            let mut seen = HashSet::new();
            (asked.names.iter().filter(|name| seen.insert(name.as_str())).cloned().collect(), "")
        }
    };
    let progress = Progress::new(t!("read"), names.len());
    let mut entries = Vec::new();
    for some in names.chunks(READ) {
        let wanted: Vec<_> = some.iter().map(|name| (name.clone(), Selector::Current)).collect();
        let found = session.client.secret_values(&wanted).map_err(failure(""))?;
        for (name, found) in some.iter().zip(found) {
            let found = found.map_err(|refused| failure(name)(Error::Refused(Box::new(refused))))?;
            let name = found.name.strip_prefix(prefix).unwrap_or(&found.name).to_owned();
            entries.push(Entry::of(name, found.data, found.binary));
            progress.more(1);
        }
    }
    progress.end();
    let text = formats::write(asked.format, &asked.name, &entries)
        .map_err(|reason| usage(reason, &t!("export fewer at a time, or as JSON")))?;
    match &asked.out {
        Some(file) => terminal::write_private(file, text.as_bytes()),
        None => terminal::print_value(&Value::new(text.as_bytes().to_vec())),
    }
}
