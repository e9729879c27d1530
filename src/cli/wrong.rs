//! What clap finds wrong with a command line, in another language than its own.
//!
//! Owns: a sentence for each kind of error, of what clap knows about it. Called by: usage.

use std::error::Error as _;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::base::locale::{self, t};

/// What is wrong. None of an error that has another form than is known here: clap's own words are better than none.
pub(super) fn reason(error: &Error) -> Option<String> {
    let argument = || one(error, ContextKind::InvalidArg);
    let sentence = match error.kind() {
        ErrorKind::UnknownArgument => t!("unexpected argument '%{argument}' found", argument = argument()?),
        ErrorKind::InvalidSubcommand => {
            t!("unrecognized subcommand '%{name}'", name = one(error, ContextKind::InvalidSubcommand)?)
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = all(error, ContextKind::InvalidArg)?.join(" ");
            t!("the following required arguments were not provided: %{arguments}", arguments = missing)
        }
        ErrorKind::MissingSubcommand => {
            t!("'%{name}' requires a subcommand but one was not provided", name = one(error, ContextKind::InvalidSubcommand)?)
        }
        ErrorKind::InvalidValue => return invalid(error),
        ErrorKind::ValueValidation => {
            let why = error.source().map(|source| range(&source.to_string())).unwrap_or_default();
            let value = one(error, ContextKind::InvalidValue)?;
            t!("invalid value '%{value}' for '%{argument}': %{why}", value = value, argument = argument()?, why = why)
        }
        ErrorKind::ArgumentConflict => return Some(conflict(error)),
        ErrorKind::NoEquals => {
            t!("equal sign is needed when assigning values to '%{argument}'", argument = argument()?)
        }
        ErrorKind::TooManyValues => {
            let value = one(error, ContextKind::InvalidValue)?;
            t!("unexpected value '%{value}' for '%{argument}' found", value = value, argument = argument()?)
        }
        ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            let expected = number(error, ContextKind::MinValues).or_else(|| number(error, ContextKind::ExpectedNumValues))?;
            let actual = number(error, ContextKind::ActualNumValues)?;
            t!(
                "%{expected} values required for '%{argument}', %{actual} provided",
                expected = expected,
                argument = argument()?,
                actual = actual
            )
        }
        ErrorKind::InvalidUtf8 => t!("invalid UTF-8 was detected in one or more arguments"),
        _ => return None,
    };
    Some(sentence.into_owned())
}

/// A value that is not one of those that are possible, or none.
fn invalid(error: &Error) -> Option<String> {
    let (value, argument) = (one(error, ContextKind::InvalidValue)?, one(error, ContextKind::InvalidArg)?);
    let mut sentence = match value.is_empty() {
        true => t!("a value is required for '%{argument}' but none was supplied", argument = argument),
        false => t!("invalid value '%{value}' for '%{argument}'", value = value, argument = argument),
    }
    .into_owned();
    if let Some(possible) = all(error, ContextKind::ValidValue).filter(|possible| !possible.is_empty()) {
        sentence += &format!(" {}{}]", t!("[possible values: "), possible.join(&t!(", ")));
    }
    Some(sentence)
}

/// What cannot be said together.
fn conflict(error: &Error) -> String {
    let one_of = || one(error, ContextKind::InvalidArg).or_else(|| one(error, ContextKind::InvalidSubcommand));
    let said = one_of().unwrap_or_default();
    let others: Vec<String> = all(error, ContextKind::PriorArg).unwrap_or_default();
    let sentence = match others.first() {
        Some(first) if *first == said => t!("the argument '%{argument}' cannot be used multiple times", argument = said),
        Some(_) => {
            let others = others.iter().map(|other| format!("'{other}'")).collect::<Vec<_>>().join(&t!(", "));
            t!("the argument '%{argument}' cannot be used with %{others}", argument = said, others = others)
        }
        None => t!("the argument '%{argument}' cannot be used with one or more of the others", argument = said),
    };
    sentence.into_owned()
}

/// What clap suggests.
pub(super) fn tips(error: &Error) -> Vec<String> {
    let mut tips = Vec::new();
    let quoted = |names: Vec<String>| names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(&t!(", "));
    if let Some(names) = all(error, ContextKind::SuggestedSubcommand).filter(|names| !names.is_empty()) {
        tips.push(t!("a similar subcommand exists: %{names}", names = quoted(names)).into_owned());
    }
    if let Some(names) = all(error, ContextKind::SuggestedArg) {
        tips.push(t!("a similar argument exists: %{names}", names = quoted(names)).into_owned());
    }
    if let Some(names) = all(error, ContextKind::SuggestedValue) {
        tips.push(t!("a similar value exists: %{names}", names = quoted(names)).into_owned());
    }
    if let Some(ContextValue::StyledStrs(others)) = error.get(ContextKind::Suggested) {
        tips.extend(others.iter().map(|other| suggestion(&other.to_string())));
    }
    tips
}

/// One of clap's sentences, by the words that are no quotations.
fn suggestion(theirs: &str) -> String {
    let parts: Vec<&str> = theirs.split('\'').collect();
    let ours = match parts[..] {
        ["to pass ", word, " as a value, use ", line, ""] => {
            t!("to pass '%{word}' as a value, use '%{line}'", word = word, line = line)
        }
        ["", line, " exists"] => t!("'%{line}' exists", line = line),
        ["subcommand ", name, " exists; to use it, remove the ", _, " before it"] => {
            t!("subcommand '%{name}' exists; to use it, remove the '--' before it", name = name)
        }
        _ => return theirs.to_owned(),
    };
    ours.into_owned()
}

/// Why a value is none: our own words, or those of clap's ranges and of Rust's numbers.
fn range(why: &str) -> String {
    match why.split_once(" is not in ") {
        Some((value, range)) => t!("%{value} is not in %{range}", value = value, range = range).into_owned(),
        None => locale::reason(why),
    }
}

fn one(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn all(error: &Error, kind: ContextKind) -> Option<Vec<String>> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(vec![text.clone()]),
        ContextValue::Strings(texts) => Some(texts.clone()),
        _ => None,
    }
}

fn number(error: &Error, kind: ContextKind) -> Option<isize> {
    match error.get(kind)? {
        ContextValue::Number(number) => Some(*number),
        _ => None,
    }
}
