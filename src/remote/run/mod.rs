//! `bulla run`: a program with secrets in its environment.
//!
//! The program takes the place of this one (exec), so that process id, signals, standard streams and exit code are its own. With --watch
//! or --mask this one stays in front of it (`supervise`).

mod files;
mod mask;
mod plan;
mod supervise;

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::Session;
use super::resolve::resolve;
use crate::base::failure::{Class, Failure};
use crate::base::locale::{self, t};
use crate::cli::Run;
use plan::Plan;

/// Runs the command. Returns only where the program could not be started, or has ended under supervision.
pub(super) fn run(run: &Run) -> Result<i32, Failure> {
    let plan = Plan::of(run)?;
    // Nothing to ask for, nobody to ask.
    let session = if plan.references.is_empty() { None } else { Some(Session::open(&run.connection)?) };
    if run.watch.is_some() || run.mask {
        return supervise::run(session.as_ref(), &plan, run);
    }
    let values = match &session {
        Some(session) => resolve(session, &plan.references)?.values,
        None => Vec::new(),
    };
    let files = plan.files(&values, true)?;
    let mut command = plan.command(&values, &files)?;
    let links = plan.link(&files, std::process::id())?;
    let error = command.exec();
    drop(links);
    Err(not_started(command.get_program(), &error))
}

/// Why a program does not start, and the exit code that shells give for it.
fn not_started(program: &OsStr, error: &io::Error) -> Failure {
    let program = program.to_string_lossy();
    match error.kind() {
        io::ErrorKind::NotFound => Failure::new(t!("%{program}: no such program", program = program))
            .class(Class::NoProgram)
            .hint(match program.contains('/') {
                true => t!("a relative path begins in this folder; a name without / is looked for in $PATH"),
                false => t!("it is looked for in $PATH; or write its path, as ./NAME"),
            }),
        _ => {
            let text = locale::os(error);
            let words = text.split(" (os error").next().unwrap_or(&text);
            let failure = Failure::new(t!("%{program} cannot be run: %{reason}", program = program, reason = words));
            failure.class(Class::CannotRun).hint(match error.kind() {
                io::ErrorKind::ArgumentListTooLong => t!("--file VAR=NAME hands a long value over as a file in memory"),
                _ => t!("`ls -ld %{file}` says who may", file = program),
            })
        }
    }
}

/// The command line of a program.
fn program(run: &Run) -> Command {
    let mut command = Command::new(&run.command[0]);
    command.args(&run.command[1..]);
    command
}
