//! `bulla secret export`.

use std::collections::HashSet;

use bulla_client::{Error, Refused, Selector, Value};

use super::super::{Session, failure, terminal, usage};
use super::formats::{self, Entry};
use crate::base::failure::Failure;
use crate::base::locale::t;
use crate::cli::Export;
use crate::output::{Output, progress::Progress};

/// Values that are asked for at a time.
const READ: usize = 160;

/// Runs the command.
pub(super) fn run(session: &Session, asked: &Export, json: bool) -> Result<(), Failure> {
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
    let (mut entries, mut without) = (Vec::new(), Vec::new());
    for some in names.chunks(READ) {
        let wanted: Vec<_> = some.iter().map(|name| (name.clone(), Selector::Current)).collect();
        let found = session.client.secret_values(&wanted).map_err(failure(""))?;
        for (name, found) in some.iter().zip(found) {
            if asked.prefix.is_some() && found.as_ref().err().is_some_and(has_no_value) {
                without.push(name.as_str());
                progress.more(1);
                continue;
            }
            let found = found.map_err(|refused| failure(name)(Error::Refused(Box::new(refused))))?;
            let name = found.name.strip_prefix(prefix).unwrap_or(&found.name).to_owned();
            entries.push(Entry::of(name, found.data, found.binary));
            progress.more(1);
        }
    }
    progress.end();
    if !without.is_empty() {
        log::warn!("{}", t!("left out, as they have no value now: %{names}", names = without.join(", ")));
    }
    // Nothing at all is a mistake more often than a wish, and whoever reads `{}` goes on.
    if entries.is_empty() {
        let failure = Failure::not_found(t!("there is no secret with a value whose name begins %{prefix}", prefix = prefix));
        return Err(failure.hint(t!("`bulla secret list` shows what there is")));
    }
    let text = formats::write(asked.format, &asked.name, &entries)
        .map_err(|reason| usage(reason, &t!("export fewer at a time, or as JSON")))?;
    let Some(file) = asked.out.as_deref().and_then(terminal::file_named) else {
        return terminal::print_value(&Value::new(text.as_bytes().to_vec()));
    };
    terminal::write_private(file, text.as_bytes())?;
    let row = [("File", file.display().to_string().into()), ("Secrets", entries.len().into())];
    if json { Output::one(row).print(json) } else { Ok(()) }
}

/// Whether a secret that was listed has no value to be read: its current version is deleted or destroyed, or it never had one, or it
/// has gone since.
fn has_no_value(refused: &Refused) -> bool {
    ["Rejected.ResourceInDeleteWindow", "Forbidden.ResourceNotFound"].contains(&refused.code.as_str())
}
