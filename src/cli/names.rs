//! What a shell wants to complete: whether the word at the cursor is a secret's or a key's name, by the words before it.

use clap::{Arg, Command, CommandFactory};

use super::{Cli, Connection};

/// Names that a server knows, by their beginning.
#[derive(Debug, PartialEq, Eq)]
pub enum Names {
    /// Of secrets.
    Secrets(String),
    /// Of keys: aliases and ids.
    Keys(String),
}

/// What the last of these words is to be, and which server knows. None where it is nothing that a server knows.
pub fn names(words: &[String]) -> Option<(Names, Connection)> {
    let (last, before) = words.split_last()?;
    let root = Cli::command();
    let (mut command, mut path, mut place) = (&root, Vec::new(), 0);
    let mut connection = Connection::default();
    let mut words = before.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            return None;
        }
        if word.len() > 1 && word.starts_with('-') {
            let (flag, given) = word.split_once('=').map_or((word.as_str(), None), |(flag, value)| (flag, Some(value)));
            let takes_next = option(&root, command, flag).is_some_and(takes_value) && given.is_none();
            let value = match (given, takes_next) {
                (Some(value), _) => Some(value.to_owned()),
                (None, true) => match words.next() {
                    Some(value) => Some(value.clone()),
                    None if flag == "--key" => return Some((Names::Keys(last.clone()), connection)),
                    None => return None,
                },
                (None, false) => None,
            };
            match flag {
                "--profile" => connection.profile = value,
                "--endpoint" => connection.endpoint = value,
                "--ca" => connection.ca = value.map(Into::into),
                _ => {}
            }
        } else if let Some(below) = command.find_subcommand(word) {
            command = below;
            path.push(word.as_str());
        } else {
            place += 1;
        }
    }
    if last.starts_with('-') {
        return None;
    }
    let positionals: Vec<&Arg> = command.get_positionals().collect();
    // One that takes many takes all that follow.
    let many = |arg: &&Arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    let argument = positionals.get(place).or_else(|| positionals.last().filter(|arg| many(arg)))?;
    match (path.first(), argument.get_id().as_str()) {
        (Some(&"secret"), "name" | "names" | "prefix") => Some((Names::Secrets(last.clone()), connection)),
        (Some(&"key"), "key") => Some((Names::Keys(last.clone()), connection)),
        _ => None,
    }
}

/// The option that a word begins, of a command or of all.
fn option<'c>(root: &'c Command, command: &'c Command, flag: &str) -> Option<&'c Arg> {
    let is = |arg: &&Arg| match flag.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some_and(|short| flag[1..].starts_with(short) && flag.len() == 1 + short.len_utf8()),
    };
    // Options of a group of commands stand behind its commands too.
    let below = root.get_subcommands().flat_map(Command::get_arguments);
    command.get_arguments().chain(root.get_arguments()).chain(below.filter(|arg| arg.is_global_set())).find(is)
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Option<Names> {
        names(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).map(|(names, _)| names)
    }

    #[test]
    fn the_word_at_the_cursor_is_known_by_those_before_it() {
        let secrets = |prefix: &str| Some(Names::Secrets(prefix.to_owned()));
        let keys = |prefix: &str| Some(Names::Keys(prefix.to_owned()));
        for (line, expected) in [
            ("secret get ", secrets("")),
            ("secret get app/", secrets("app/")),
            ("--profile d secret get app/", secrets("app/")),
            ("secret get --json a", secrets("a")),
            ("secret get --field f a", secrets("a")),
            ("secret get --field f", None),
            ("secret get app/db ", None),
            ("secret diff app/db ", None),
            ("secret export a b ", secrets("")),
            ("secret list a", secrets("a")),
            ("secret import a", None),
            ("secret put a --key al", keys("al")),
            ("secret put --key=k a", secrets("a")),
            ("secret get --", None),
            ("secret ge", None),
            ("key show al", keys("al")),
            ("key alias one ", keys("")),
            ("key create ", None),
            ("run -- secret get ", None),
            ("", None),
        ] {
            assert_eq!(asked(line), expected, "{line:?}");
        }
        let words = ["--profile", "d", "secret", "--endpoint=e", "get", "--ca", "f", "x"].map(str::to_owned);
        let (_, connection) = names(&words).expect("a secret's name");
        assert_eq!((connection.profile.as_deref(), connection.endpoint.as_deref()), (Some("d"), Some("e")));
        assert_eq!(connection.ca.as_deref(), Some(std::path::Path::new("f")));
    }
}
