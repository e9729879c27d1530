//! The program: arguments, logger, then one call into `admin` or `remote`.

use std::alloc::System;
use std::ffi::OsString;
use std::time::Duration;

#[cfg(feature = "server")]
use bulla::admin;
use bulla::base::failure::{Failure, context};
use bulla::base::locale::{self, Language};
use bulla::base::signals::end;
#[cfg(feature = "server")]
use bulla::cli::Host;
use bulla::cli::{self, Cli, Command, Pages, Words};
use bulla::logging::{self, Form};
use bulla::output::{self, Output};
use bulla::process;
use bulla::process::signals;
use bulla::remote;
use zeroizing_alloc::ZeroAlloc;

/// Memory is wiped when it is given back, whoever used it: libraries hold secrets in buffers of their own.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// How long the end waits for whoever reads the log.
const FLUSH: Duration = Duration::from_secs(1);

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let asked_for = Language::of_environment();
    // A line that is none of ours is answered in JSON where this word is among it; what stands behind `run` is known when it is read.
    locale::speak(if arguments.iter().any(|word| word == "--json") { Language::English } else { asked_for });
    let (json, result) = match cli::parse(arguments.into_iter()) {
        Words::Command(cli) => {
            locale::speak(if cli.is_for_people() { asked_for } else { Language::English });
            (cli.json, run(*cli))
        }
        Words::Page(page) => (false, output::line(page.trim_end()).map(|()| 0)),
        Words::Wrong { failure, json } => (json, Err(failure)),
    };
    let status = match result {
        Ok(status) => status,
        Err(failure) => {
            output::print_failure(&failure, json);
            failure.class as i32
        }
    };
    logging::flush(FLUSH);
    // Everything is closed and flushed by now.
    end(status)
}

/// Gives the exit code.
fn run(cli: Cli) -> Result<i32, Failure> {
    if cli.json {
        output::progress::silence();
    }
    process::outlive_file_limits().map_err(context("signals"))?;
    match cli.command {
        #[cfg(feature = "server")]
        Command::Host(command) => host(command, cli.json).map(|()| 0),
        Command::Remote(command) => {
            logging::set(if command.serves() { logging::Options::default() } else { brief(cli.json) });
            if command.serves() {
                signals::answer().map_err(context("signals"))?;
            }
            // A limit on core dumps would be the program's too that `bulla run` becomes.
            process::forbid_traces().map_err(context("core dumps"))?;
            process::lock_memory_of_command();
            remote::run(command, cli.leading, cli.json)
        }
        Command::Pages(Pages::Completion { shell, names }) => {
            Output::Text("Completion", cli::completion(shell, names)?).print(cli.json).map(|()| 0)
        }
        Command::Pages(Pages::Man { folder }) => {
            cli::man(&folder).map_err(Failure::of_file(&folder))?;
            Output::Text("Folder", folder.display().to_string()).print(cli.json).map(|()| 0)
        }
    }
}

/// What a command logs that ends by itself.
fn brief(json: bool) -> logging::Options {
    logging::Options { level: log::LevelFilter::Warn, format: if json { Form::BriefJson } else { Form::Brief } }
}

/// The server, and the commands beside it.
#[cfg(feature = "server")]
fn host(command: Host, json: bool) -> Result<(), Failure> {
    // A server logs as it is configured once it has read its configuration.
    logging::set(if command.serves() { logging::Options::default() } else { brief(json) });
    process::forbid_dumps().map_err(context("core dumps"))?;
    process::forbid_others_to_write();
    if command.serves() {
        signals::answer().map_err(context("signals"))?;
    } else {
        process::lock_memory_of_command();
    }
    admin::run(command, json)
}
