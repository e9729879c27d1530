//! Why a command, or a start, does not do what was asked, in words for the person who asked.
//!
//! Owns: the classes, which are the exit codes, and where to look when a file is the reason. Must not know: how a failure is printed. Called by: config, app, admin, cli.

use std::borrow::Cow;
use std::path::Path;
use std::{fmt, io};

use serde_json::Value;

use crate::base::locale::{self, t};

/// What kind of failure it is; its number is the program's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Class {
    /// None of the others.
    #[default]
    Other = 1,
    /// The command line is not as it should be.
    Usage = 2,
    /// What was named is not there.
    NotFound = 3,
    /// The caller may not do it.
    Denied = 4,
    /// What was named is there already, is in use, or is in a state that does not allow it.
    Conflict = 5,
    /// Token, database or server is away; the same command may succeed later.
    Unavailable = 6,
    /// A file, folder or setting on this host is not as it should be.
    Local = 7,
    /// The token refuses the PIN, or may do: whoever starts again presents it again. A supervisor must not.
    Pin = 8,
    /// `bulla run`: the program is there and cannot be run. As shells say it.
    CannotRun = 126,
    /// `bulla run`: there is no such program. As shells say it.
    NoProgram = 127,
}

impl Class {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Class::Other => "other",
            Class::Usage => "usage",
            Class::NotFound => "not_found",
            Class::Denied => "denied",
            Class::Conflict => "conflict",
            Class::Unavailable => "unavailable",
            Class::Local => "local",
            Class::Pin => "pin",
            Class::CannotRun => "cannot_run",
            Class::NoProgram => "no_program",
        }
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind it is.
    pub class: Class,
    /// What is wrong.
    pub reason: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
    /// What a server answered, where that is the reason.
    pub answer: Option<Box<Answered>>,
    /// What was done all the same, and of what it was not: counts and lists of names.
    pub result: Vec<(&'static str, Value)>,
}

/// A server's error, for programs and for whoever searches its logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The API's code.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    /// What the server calls the request.
    pub request_id: Option<String>,
}

impl Failure {
    /// A failure of no class in particular.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { class: Class::Other, reason: reason.into(), hint: None, answer: None, result: Vec::new() }
    }

    /// What was named is not there.
    pub fn not_found(reason: impl Into<String>) -> Self {
        Self::new(reason).class(Class::NotFound)
    }

    /// What was named is there already, or in use.
    pub fn conflict(reason: impl Into<String>) -> Self {
        Self::new(reason).class(Class::Conflict)
    }

    /// Something on this host is not as it should be.
    pub fn local(reason: impl Into<String>) -> Self {
        Self::new(reason).class(Class::Local)
    }

    /// A file of this host, or a folder, cannot be used as it should be; why, and where to look.
    pub fn of_file(file: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let file = file.to_owned();
        move |error| Self::local(locale::about(file.display(), locale::os(&error))).hint_of_file(&file, error.kind())
    }

    /// The same, with where to look when a file is the reason; what other kinds of errors say is enough.
    pub fn hint_of_file(self, file: &Path, kind: io::ErrorKind) -> Self {
        match way_to(file, kind) {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Something is away.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::new(reason).class(Class::Unavailable)
    }

    /// The same, of another class.
    pub fn class(self, class: Class) -> Self {
        Self { class, ..self }
    }

    /// The same, with what to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same, with what was done all the same.
    pub fn result(self, result: Vec<(&'static str, Value)>) -> Self {
        Self { result, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// An error that may be why a command, or a start, does not do what was asked: whoever defines it says which kind of failure that is.
pub trait Reason: fmt::Display {
    /// What kind.
    fn class(&self) -> Class {
        Class::Other
    }

    /// What to do about it, where that is known.
    fn hint(&self) -> Option<&'static str> {
        None
    }
}

impl Reason for io::Error {}
impl Reason for serde_json::Error {}
impl Reason for String {}

impl<E: Reason> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure { hint: error.hint().map(str::to_owned), ..Failure::new(error.to_string()).class(error.class()) }
    }
}

/// Where to look for why a file cannot be used.
fn way_to(file: &Path, kind: io::ErrorKind) -> Option<Cow<'static, str>> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(match kind {
        io::ErrorKind::NotFound if !folder.exists() => t!("there is no folder %{folder}", folder = folder.display()),
        io::ErrorKind::NotFound => t!("`ls %{folder}` shows what there is", folder = folder.display()),
        io::ErrorKind::PermissionDenied => t!("`ls -ld %{file}` says who may", file = file.display()),
        io::ErrorKind::IsADirectory => t!("name a file in it"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => t!("make room there, or name a file on another disk"),
        _ => return None,
    })
}

/// Puts a subject before the reason of a failure.
pub fn context<E: Into<Failure>>(subject: impl fmt::Display) -> impl FnOnce(E) -> Failure {
    move |error| {
        let failure: Failure = error.into();
        Failure { reason: format!("{subject}: {}", failure.reason), ..failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_says_where_to_look() {
        let folder = tempfile::tempdir().expect("a folder");
        let said = |file: &Path| {
            let error = std::fs::read(file).expect_err("there is no such file");
            Failure::of_file(file)(error).hint.expect("a hint")
        };
        let at = folder.path().display();
        assert_eq!(said(&folder.path().join("a")), format!("`ls {at}` shows what there is"));
        assert_eq!(said(&folder.path().join("a/b")), format!("there is no folder {at}/a"));
        assert_eq!(said(folder.path()), "name a file in it");
    }
}
