//! `bulla secret import`.
//!
//! An import looks at what is there, and each step is one write of the server: killed at any place and started again it goes on, and
//! writes nothing twice. A secret that has the value already is done.

use std::collections::HashSet;
use std::str::FromStr;

use bulla_client::{Error, NewSecret, Selector, abreast};

use super::super::failure::IN_DELETE_WINDOW;
use super::super::{Session, failure, usage, version_id};
use super::formats::Entry;
use super::source::Source;
use super::{sent_len, too_long};
use crate::base::failure::{Class, Failure};
use crate::base::ids::SecretName;
use crate::base::locale::t;
use crate::base::secret::VALUE_BYTES;
use crate::cli::Import;
use crate::output::progress::Progress;
use crate::output::{Output, Row};

/// Values that are looked at at a time: so much memory, and no more.
const PART: usize = 160;

/// What becomes of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Update,
    Nothing,
    /// It has another value, and nobody said that it may be changed.
    Keep,
    /// It has no value at the source.
    Skip,
    /// Its state here does not allow it: it waits for its deletion.
    Blocked,
}

/// What became of a secret that was to be written.
enum Became {
    Created,
    Updated,
    Unchanged,
    Kept,
    /// The server does not take it: why.
    Refused(String),
    /// Its state here does not allow it.
    Blocked,
}

/// What became of them.
#[derive(Default)]
struct Done {
    created: usize,
    updated: usize,
    unchanged: usize,
    skipped: usize,
    kept: Vec<String>,
    /// What the server does not take, and why.
    refused: Vec<String>,
    /// What waits for its deletion here.
    blocked: Vec<String>,
}

impl Done {
    /// How many of each, and the names of those that are not as they are at the source.
    fn row(&self, asked: &Import) -> Row {
        let mut row = Output::row([
            ("Created", self.created.into()),
            ("Updated", self.updated.into()),
            ("Unchanged", self.unchanged.into()),
            ("Skipped", self.skipped.into()),
            ("DryRun", asked.dry_run.into()),
        ]);
        let left = [("Refused", &self.refused), ("WaitForDeletion", &self.blocked), ("Different", &self.kept)];
        row.extend(left.into_iter().filter(|(_, names)| !names.is_empty()).map(|(what, names)| (what, names.clone().into())));
        row
    }
}

/// Runs the command.
pub(super) fn run(session: &Session, asked: &Import) -> Result<Output, Failure> {
    let mut source = Source::open(asked)?;
    let prefix = asked.prefix.as_deref().unwrap_or_default();
    let names: Vec<String> = source.names().iter().map(|name| format!("{prefix}{name}")).collect();
    if names.is_empty() && source.out_of_reach().is_empty() {
        return Err(match source.is_file() {
            true => {
                Failure::not_found(t!("there is no secret in the file")).hint(t!("--format env, json or k8s says what it is"))
            }
            false => Failure::not_found(t!("at the source there is no secret of such a name"))
                .hint(t!("--from-prefix says how their names begin; --mount, in which mount of a Vault they are")),
        });
    }
    check(&names, source.is_file())?;
    let there = session.client.list_secrets(prefix).map_err(failure(""))?;
    let there: HashSet<String> = there.into_iter().map(|secret| secret.secret_name).collect();
    let out_of_reach =
        source.out_of_reach().iter().map(|name| t!("%{name}: no address of Vault's API names it", name = name).into_owned());
    let mut done = Done { refused: out_of_reach.collect(), ..Done::default() };
    let all = names.len() + done.refused.len();
    let progress = Progress::new(t!("imported"), names.len());
    let worked = all_parts(session, asked, &mut source, &names, &there, &mut done, &progress);
    let finished = progress.end();
    worked.map_err(|mut failure| {
        failure.reason =
            t!("%{reason} (%{done} of %{all} are done)", reason = failure.reason, done = finished, all = names.len())
                .into_owned();
        let hint = failure.hint.take().map(|hint| hint + &t!("; ")).unwrap_or_default();
        failure.hint(hint + &t!("the same command goes on where this one ended")).result(done.row(asked))
    })?;
    outcome(&done, all, asked)
}

/// Names that no secret can have, before anything is written.
fn check(names: &[String], in_file: bool) -> Result<(), Failure> {
    let wrong: Vec<&str> = names.iter().map(String::as_str).filter(|name| SecretName::from_str(name).is_err()).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let reason = t!("%{wrong} of %{all} names are none of secrets", wrong = wrong.len(), all = names.len());
    let hint = match in_file {
        true => t!("1 to 192 ASCII letters, digits and _/+=.@-, not beginning acs/; change them in the file"),
        false => t!("1 to 192 ASCII letters, digits and _/+=.@-, not beginning acs/; --from-prefix leaves others out"),
    };
    Err(usage(reason, &hint).result(Output::row([("Refused", wrong.into())])))
}

fn all_parts(
    session: &Session,
    asked: &Import,
    source: &mut Source,
    names: &[String],
    there: &HashSet<String>,
    done: &mut Done,
    progress: &Progress,
) -> Result<(), Failure> {
    for begin in (0..names.len()).step_by(PART) {
        let part = begin..names.len().min(begin + PART);
        let entries = source.read(part.clone())?;
        let (source, names) = (&*source, &names[part]);
        let steps = steps(session, names, &entries, there, asked)?;
        let mut work = Vec::new();
        for (place, ((name, entry), step)) in names.iter().zip(&entries).zip(&steps).enumerate() {
            match (step, entry) {
                (Step::Create | Step::Update, Some(entry)) => work.push((begin + place, name, entry, *step)),
                (Step::Keep, _) => done.kept.push(name.clone()),
                (Step::Blocked, _) => done.blocked.push(name.clone()),
                (Step::Nothing, _) => done.unchanged += 1,
                _ => done.skipped += 1,
            }
        }
        progress.more(names.len() - work.len());
        let became = abreast(&work, |(place, name, entry, step)| {
            let became = match *step {
                _ if asked.dry_run && !VALUE_BYTES.contains(&sent_len(&entry.value, entry.binary)) => {
                    Became::Refused(too_long(name))
                }
                Step::Create if asked.dry_run => Became::Created,
                _ if asked.dry_run => Became::Updated,
                Step::Create => create(session, name, entry, source.description(*place)?.as_deref(), asked)?,
                _ => update(session, name, entry)?,
            };
            progress.more(1);
            Ok::<_, Failure>(became)
        })?;
        for ((_, name, ..), became) in work.iter().zip(became) {
            match became {
                Became::Created => done.created += 1,
                Became::Updated => done.updated += 1,
                Became::Unchanged => done.unchanged += 1,
                Became::Kept => done.kept.push((*name).clone()),
                Became::Refused(reason) => done.refused.push(reason),
                Became::Blocked => done.blocked.push((*name).clone()),
            }
        }
    }
    Ok(())
}

/// What is to be done, from what is there.
fn steps(
    session: &Session,
    names: &[String],
    entries: &[Option<Entry>],
    there: &HashSet<String>,
    asked: &Import,
) -> Result<Vec<Step>, Failure> {
    let new = |entry: &Option<Entry>| if entry.is_some() { Step::Create } else { Step::Skip };
    let mut steps: Vec<Step> = entries.iter().map(new).collect();
    let known: Vec<(usize, &Entry)> = entries
        .iter()
        .enumerate()
        .filter_map(|(i, entry)| entry.as_ref().filter(|_| there.contains(&names[i])).map(|e| (i, e)))
        .collect();
    let wanted: Vec<_> = known.iter().map(|(i, _)| (names[*i].clone(), Selector::Current)).collect();
    let found = if wanted.is_empty() { Vec::new() } else { session.client.secret_values(&wanted).map_err(failure(""))? };
    for ((i, entry), found) in known.into_iter().zip(found) {
        steps[i] = match found {
            Ok(value) if value.data.expose() == entry.value.expose() => Step::Nothing,
            Ok(_) if asked.overwrite => Step::Update,
            Ok(_) => Step::Keep,
            // Gone since the list was made.
            Err(refused) if refused.code == "Forbidden.ResourceNotFound" => Step::Create,
            Err(refused) if refused.code == IN_DELETE_WINDOW => Step::Blocked,
            Err(refused) => return Err(failure(&names[i])(Error::Refused(Box::new(refused)))),
        };
    }
    Ok(steps)
}

fn create(session: &Session, name: &str, entry: &Entry, description: Option<&str>, asked: &Import) -> Result<Became, Failure> {
    let own = entry.tags.iter().filter(|(key, _)| !asked.tags.iter().any(|(asked, _)| asked == key));
    let tags: Vec<_> = own.chain(&asked.tags).cloned().collect();
    let version = version_id();
    let new = NewSecret { name, version: &version, key: asked.key.as_deref(), tags: &tags, description };
    match session.client.create_secret(&new, &entry.value, entry.binary) {
        Ok(()) => Ok(Became::Created),
        // Made since the list was: by an import that was killed a moment ago, whose last requests were still on their way.
        Err(error) if error.code() == "Rejected.ResourceExist" => {
            let there = match session.client.secret_value(name, &Selector::Current) {
                Ok(there) => there,
                Err(error) => return refused(error, name),
            };
            match there.data.expose() == entry.value.expose() {
                true => Ok(Became::Unchanged),
                false if asked.overwrite => update(session, name, entry),
                false => Ok(Became::Kept),
            }
        }
        Err(error) => refused(error, name),
    }
}

fn update(session: &Session, name: &str, entry: &Entry) -> Result<Became, Failure> {
    match session.client.put_secret_value(name, &version_id(), &entry.value, entry.binary, &[]) {
        Ok(()) => Ok(Became::Updated),
        Err(error) => refused(error, name),
    }
}

/// What is wrong with one secret keeps no other from its place.
fn refused(error: Error, name: &str) -> Result<Became, Failure> {
    if error.code() == IN_DELETE_WINDOW {
        return Ok(Became::Blocked);
    }
    let failure = failure(name)(error);
    if failure.class == Class::Usage { Ok(Became::Refused(failure.reason)) } else { Err(failure) }
}

fn outcome(done: &Done, all: usize, asked: &Import) -> Result<Output, Failure> {
    let rest = if asked.dry_run { "".into() } else { t!("; all others are done") };
    let mut left = Vec::new();
    let mut told = |names: &[String], what, class, hint| {
        if !names.is_empty() {
            let reason = t!("%{some} of %{all} %{what}", some = names.len(), all = all, what = what);
            left.push((reason, class, hint));
        }
    };
    told(
        &done.refused,
        t!("are refused"),
        Class::Usage,
        t!("the values, descriptions and tags that the server takes are in docs/api.md"),
    );
    let hint = t!("`bulla secret restore NAME` takes that back");
    told(&done.blocked, t!("wait for their deletion"), Class::Conflict, hint);
    told(&done.kept, t!("have another value"), Class::Conflict, t!("--overwrite writes these as new versions"));
    if let Some((_, class, _)) = left.first() {
        let reasons: Vec<&str> = left.iter().map(|(reason, ..)| &**reason).collect();
        let hints: Vec<&str> = left.iter().map(|(.., hint)| &**hint).collect();
        let and = t!("; ");
        let failure = Failure::new(format!("{}{rest}", reasons.join(&and))).class(*class).hint(hints.join(&and));
        return Err(failure.result(done.row(asked)));
    }
    Ok(Output::One(done.row(asked)))
}
