//! The pages of help in the language of whoever reads them.
//!
//! Texts are replaced in the table of commands before a line is read; what clap itself says on a page, once that is made.

use clap::Command;

use crate::base::locale::{self, t};

/// The table of commands with its texts in another language than English.
pub(super) fn spoken(command: Command) -> Command {
    if locale::is_english() { command } else { translated(command) }
}

fn translated(mut command: Command) -> Command {
    if let Some(about) = command.get_about().map(ToString::to_string) {
        command = command.about(locale::text(&about));
    }
    if let Some(about) = command.get_long_about().map(ToString::to_string) {
        command = command.long_about(locale::text(&about));
    }
    let of_argument = |mut argument: clap::Arg| {
        if let Some(help) = argument.get_help().map(ToString::to_string) {
            argument = argument.help(locale::text(&help));
        }
        if let Some(help) = argument.get_long_help().map(ToString::to_string) {
            argument = argument.long_help(locale::text(&help));
        }
        argument
    };
    command.mut_args(of_argument).mut_subcommands(translated)
}

/// A page that clap has made, with its own words in that language too.
pub(super) fn page(made: String) -> String {
    if locale::is_english() {
        return made;
    }
    let lines: Vec<String> = made.split('\n').map(line).collect();
    lines.join("\n")
}

fn line(made: &str) -> String {
    let bare = made.trim_start();
    // A value that is possible, and what it does.
    if let Some((value, does)) = bare.strip_prefix("- ").and_then(|rest| rest.split_once(": "))
        && !value.contains(' ')
    {
        let does = does.trim_start();
        return made.replacen(does, &locale::text(does), 1);
    }
    for theirs in HEADINGS {
        if let Some(rest) = bare.strip_prefix(theirs) {
            let ours = locale::text(theirs);
            let indent = &made[..made.len() - bare.len()];
            return format!("{indent}{ours}{}", rest.trim_start());
        }
    }
    for theirs in FLAGS {
        if let Some(before) = made.strip_suffix(theirs) {
            return format!("{before}{}", locale::text(theirs));
        }
    }
    made.replace("[default: ", &t!("[default: ")).replace("[possible values: ", &t!("[possible values: "))
}

/// clap's own words on a page: what begins a line.
const HEADINGS: [&str; 5] = ["Usage:", "Commands:", "Arguments:", "Options:", "Possible values:"];

/// What stands behind its own flags and command; the longer of two that end alike first.
const FLAGS: [&str; 5] = [
    "Print help (see a summary with '-h')",
    "Print help (see more with '--help')",
    "Print help",
    "Print version",
    "Print this message or the help of the given subcommand(s)",
];

/// All of clap's words that are looked up here, for the test that they can be found.
#[cfg(test)]
pub(super) const OF_CLAP: [&[&str]; 2] = [&HEADINGS, &FLAGS];
