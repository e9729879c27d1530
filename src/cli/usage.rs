//! What a command line means: a command, a page to show, or a reason and a hint.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};

use super::{Cli, spoken, wrong};
use crate::base::failure::{Class, Failure};
use crate::base::locale::{self, t};

/// What a command line says.
pub enum Words {
    /// Do this.
    Command(Box<Cli>),
    /// Show this page: help, or the version.
    Page(String),
    /// Nothing that can be done.
    Wrong {
        /// Why.
        failure: Failure,
        /// Whether JSON was asked for.
        json: bool,
    },
}

/// Reads the arguments, the program's name first.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Words {
    let arguments: Vec<OsString> = arguments.collect();
    let read = spoken::spoken(Cli::command())
        .try_get_matches_from(&arguments)
        .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut Cli::command())));
    let error = match read {
        Ok(cli) => return Words::Command(Box::new(cli)),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let json = arguments.iter().any(|a| a == "--json");
            // Help that nobody asked for: a group of commands was named, and none of it.
            if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
                let failure = Failure::new(t!("no command")).class(Class::Usage).hint(help_of(&arguments));
                return Words::Wrong { failure, json };
            }
            Words::Page(spoken::page(error.render().to_string()))
        }
        _ => Words::Wrong { failure: failure(&error, &arguments), json: arguments.iter().any(|a| a == "--json") },
    }
}

/// Whether a secret's value stands in the place of the dash that says where it comes from.
fn is_value_of_secret(error: &clap::Error) -> bool {
    error.kind() == ErrorKind::InvalidValue
        && matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(argument)) if argument == "[-]")
}

/// Why a line is none, and what may have been meant.
fn failure(error: &clap::Error, arguments: &[OsString]) -> Failure {
    if is_value_of_secret(error) {
        // It is not repeated: standard error ends in logs.
        return Failure::new(t!("a value does not stand on the command line, where others see it and the shell keeps it"))
            .class(Class::Usage)
            .hint(t!("pipe it in, name its file with --file, or say nothing more and be asked for it"));
    }
    let (english, tips_in_english) = words(error);
    let (reason, mut tips) = match wrong::reason(error) {
        Some(reason) if !locale::is_english() => (reason, wrong::tips(error)),
        _ => (english, tips_in_english),
    };
    if let Some((option, value)) = value_of_option(error, arguments) {
        // clap's way is for a word of its own, and this one belongs to an option.
        tips.retain(|tip| !tip.contains(&format!("'-- {value}'")));
        tips.push(
            t!("to pass '%{word}' as a value, use '%{line}'", word = value, line = format!("{option}={value}")).into_owned(),
        );
    }
    if tips.is_empty() || !matches!(error.get(ContextKind::SuggestedArg), Some(ContextValue::String(_))) {
        tips.push(help_of(arguments));
    }
    Failure::new(reason).class(Class::Usage).hint(tips.join(&t!("; ")))
}

/// clap's words: `error: REASON`, then what it can suggest, then the usage.
fn words(error: &clap::Error) -> (String, Vec<String>) {
    let text = error.render().to_string();
    let body = text.split("\n\nUsage:").next().unwrap_or(&text).split("\n\nFor more information").next().unwrap_or(&text);
    let mut lines = body.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("the command line is wrong");
    let mut reason = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    let mut tips = Vec::new();
    for line in lines {
        match line.strip_prefix("tip: ") {
            Some(tip) => tips.push(tip.to_owned()),
            None => {
                reason.push(' ');
                reason.push_str(line);
            }
        }
    }
    (reason, tips)
}

/// The option that takes a value, and the word behind it that was taken for another option.
fn value_of_option<'a>(error: &clap::Error, arguments: &'a [OsString]) -> Option<(&'a str, &'a str)> {
    let Some(ContextValue::String(refused)) = error.get(ContextKind::InvalidArg) else { return None };
    let words: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let (command, _) = command_of(arguments);
    words.windows(2).find_map(|pair| {
        let [option, value] = pair else { return None };
        let takes = |argument: &clap::Arg| {
            argument.get_action().takes_values()
                && argument.get_long().is_some_and(|long| option.strip_prefix("--") == Some(long))
        };
        (value == refused && command.get_arguments().any(takes)).then_some((*option, *value))
    })
}

/// The command that the arguments name, and its words.
fn command_of(arguments: &[OsString]) -> (clap::Command, Vec<String>) {
    let mut command = Cli::command();
    let mut path = vec![command.get_name().to_owned()];
    for word in arguments.iter().skip(1).filter_map(|a| a.to_str()) {
        let Some(below) = command.find_subcommand(word).cloned() else { continue };
        path.push(word.to_owned());
        command = below;
    }
    (command, path)
}

/// The command whose help tells more.
fn help_of(arguments: &[OsString]) -> String {
    let (_, path) = command_of(arguments);
    t!("`%{command} --help` says what there is", command = path.join(" ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> (String, String) {
        match parse(line.split(' ').map(OsString::from)) {
            Words::Wrong { failure, .. } => {
                assert_eq!(failure.class, Class::Usage);
                (failure.reason, failure.hint.unwrap_or_default())
            }
            Words::Page(page) => panic!("a page: {page}"),
            Words::Command(_) => panic!("a command"),
        }
    }

    #[test]
    fn the_table_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn reasons_come_with_a_hint() {
        let (reason, hint) = said("bulla secrte get x");
        assert_eq!(reason, "unrecognized subcommand 'secrte'");
        assert!(hint.contains("`bulla --help`"), "{hint}");
        let (reason, hint) = said("bulla user creat x");
        assert_eq!(reason, "unrecognized subcommand 'creat'");
        assert!(hint.contains("'create'") && hint.contains("`bulla user --help`"), "{hint}");
        let (reason, hint) = said("bulla policy");
        assert_eq!((reason.as_str(), hint.as_str()), ("no command", "`bulla policy --help` says what there is"));
        // What belongs to an option is not told to stand by itself.
        let (_, hint) = said("bulla audit search --limit -1");
        assert!(hint.contains("use '--limit=-1'") && !hint.contains("'-- -1'"), "{hint}");
        let (_, hint) = said("bulla user create -x");
        assert!(hint.contains("'-- -x'"), "{hint}");
    }

    #[test]
    fn asked_for_help_is_a_page() {
        assert!(matches!(parse(["bulla", "--help"].map(OsString::from).into_iter()), Words::Page(_)));
        assert!(matches!(parse(["bulla", "--version"].map(OsString::from).into_iter()), Words::Page(_)));
    }
}
