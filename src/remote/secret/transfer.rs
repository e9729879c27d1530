//! `bulla secret import` and `export`.
//!
//! An import looks at what is there, and each step is one write of the server: killed at any place and started again it goes on, and
//! writes nothing twice. A secret that has the value already is done.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bulla_client::{NewSecret, Selector, Value};
use zeroize::Zeroizing;

use super::super::progress::Progress;
use super::super::{Session, failure, terminal, usage, version_id};
use super::formats::{self, Entry};
use crate::base::failure::Failure;
use crate::cli::{Export, Import};
use crate::output::Output;

/// Writes that are on their way at a time.
const ABREAST: usize = 8;

/// Values that are compared at a time: so much memory, and no more.
const COMPARED: usize = 160;

/// What becomes of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Update,
    Nothing,
    /// It has another value, and nobody said that it may be changed.
    Keep,
}

/// `bulla secret import`
pub(super) fn import(session: &Session, asked: &Import) -> Result<Output, Failure> {
    let entries = read(asked)?;
    let steps = steps(session, &entries, asked)?;
    if !asked.dry_run {
        carry_out(session, &entries, &steps, asked)?;
    }
    let count = |step: Step| steps.iter().filter(|s| **s == step).count();
    if count(Step::Keep) > 0 {
        let names: Vec<&str> =
            entries.iter().zip(&steps).filter(|(_, s)| **s == Step::Keep).map(|(e, _)| e.name.as_str()).collect();
        let more = if names.len() > 10 { format!(" and {} more", names.len() - 10) } else { String::new() };
        let some = names.iter().take(10).copied().collect::<Vec<_>>().join(", ");
        let done = if asked.dry_run { "" } else { "; all others are done" };
        let failure = Failure::conflict(format!("{} of {} have another value: {some}{more}{done}", names.len(), entries.len()));
        return Err(failure.hint("--overwrite writes these as new versions"));
    }
    Ok(Output::one([
        ("Created", count(Step::Create).into()),
        ("Updated", count(Step::Update).into()),
        ("Unchanged", count(Step::Nothing).into()),
        ("DryRun", asked.dry_run.into()),
    ]))
}

fn read(asked: &Import) -> Result<Vec<Entry>, Failure> {
    let file = asked.file.display().to_string();
    let named = |e: std::io::Error| Failure::local(format!("{file}: {e}"));
    let mut text = Zeroizing::new(String::new());
    if file == "-" {
        std::io::stdin().lock().read_to_string(&mut text).map_err(named)?;
    } else {
        text = Zeroizing::new(std::fs::read_to_string(&asked.file).map_err(named)?);
    }
    let format = asked.format.unwrap_or_else(|| formats::guess(&file, &text));
    let wrong = |reason| usage(format!("{file}: {reason}"), "--format env, json or k8s says what it is");
    let mut entries = formats::read(format, &text).map_err(wrong)?;
    for entry in &mut entries {
        entry.name.insert_str(0, &asked.prefix);
        if entry.value.expose().is_empty() {
            return Err(usage(format!("{file}: {} is empty, and a secret cannot be", entry.name), "take it out of the file"));
        }
    }
    Ok(entries)
}

/// What is to be done, from what is there.
fn steps(session: &Session, entries: &[Entry], asked: &Import) -> Result<Vec<Step>, Failure> {
    let there: HashSet<String> =
        session.client.list_secrets(&asked.prefix).map_err(failure(""))?.into_iter().map(|secret| secret.secret_name).collect();
    let mut steps = vec![Step::Create; entries.len()];
    let known: Vec<usize> = (0..entries.len()).filter(|i| there.contains(&entries[*i].name)).collect();
    for some in known.chunks(COMPARED) {
        let wanted: Vec<_> = some.iter().map(|i| (entries[*i].name.clone(), Selector::Current)).collect();
        let found = session.client.secret_values(&wanted).map_err(failure(""))?;
        for (i, found) in some.iter().zip(found) {
            steps[*i] = match found {
                Ok(value) if value.data.expose() == entries[*i].value.expose() => Step::Nothing,
                Ok(_) if asked.overwrite => Step::Update,
                Ok(_) => Step::Keep,
                // Gone since the list was made.
                Err(refused) if refused.code == "Forbidden.ResourceNotFound" => Step::Create,
                Err(refused) => return Err(failure(&entries[*i].name)(bulla_client::Error::Refused(Box::new(refused)))),
            };
        }
    }
    Ok(steps)
}

fn carry_out(session: &Session, entries: &[Entry], steps: &[Step], asked: &Import) -> Result<(), Failure> {
    let work: Vec<(&Entry, Step)> =
        entries.iter().zip(steps.iter().copied()).filter(|(_, step)| matches!(step, Step::Create | Step::Update)).collect();
    let progress = Progress::new("imported", work.len());
    let (next, first) = (AtomicUsize::new(0), Mutex::new(None));
    thread::scope(|scope| {
        for _ in 0..ABREAST.min(work.len()) {
            scope.spawn(|| {
                while let Some((entry, step)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match write(session, entry, *step, asked) {
                        Ok(()) => progress.one_more(),
                        Err(failure) => {
                            // The others end what they are at.
                            next.store(work.len(), Ordering::Relaxed);
                            first.lock().map(|mut first| first.get_or_insert(failure).class).ok();
                            return;
                        }
                    }
                }
            });
        }
    });
    let done = progress.end();
    match first.into_inner().unwrap_or_default() {
        None => Ok(()),
        Some(mut failure) => {
            failure.reason = format!("{} ({done} of {} were written)", failure.reason, work.len());
            let hint = failure.hint.take().map(|hint| format!("{hint}; ")).unwrap_or_default();
            Err(failure.hint(format!("{hint}the same command goes on where this one ended")))
        }
    }
}

fn write(session: &Session, entry: &Entry, step: Step, asked: &Import) -> Result<(), Failure> {
    let version = version_id();
    let written = match step {
        Step::Create => {
            let new = NewSecret {
                name: &entry.name,
                version: &version,
                key: asked.key.as_deref(),
                tags: &asked.tags,
                description: None,
            };
            session.client.create_secret(&new, &entry.value, entry.binary)
        }
        _ => session.client.put_secret_value(&entry.name, &version, &entry.value, entry.binary, &[]),
    };
    written.map_err(failure(&entry.name))
}

/// `bulla secret export`
pub(super) fn export(session: &Session, asked: &Export) -> Result<(), Failure> {
    let (names, prefix) = match &asked.prefix {
        Some(prefix) => {
            let found = session.client.list_secrets(prefix).map_err(failure(prefix))?;
            // What waits for its deletion has no value.
            let live = found.into_iter().filter(|secret| secret.planned_delete_time.is_none());
            (live.map(|secret| secret.secret_name).collect(), prefix.as_str())
        }
        None => (asked.names.clone(), ""),
    };
    let wanted: Vec<_> = names.iter().map(|name| (name.clone(), Selector::Current)).collect();
    let found = if wanted.is_empty() { Vec::new() } else { session.client.secret_values(&wanted).map_err(failure(""))? };
    let mut entries = Vec::new();
    for (name, found) in names.iter().zip(found) {
        let found = found.map_err(|refused| failure(name)(bulla_client::Error::Refused(Box::new(refused))))?;
        let name = found.name.strip_prefix(prefix).unwrap_or(&found.name).to_owned();
        entries.push(Entry { name, value: found.data, binary: found.binary });
    }
    let text = formats::write(asked.format, &asked.name, &entries)
        .map_err(|reason| usage(reason, "export fewer at a time, or as JSON"))?;
    match &asked.out {
        Some(file) => terminal::write_private(file, text.as_bytes()),
        None => terminal::print_value(&Value::new(text.as_bytes().to_vec())),
    }
}
