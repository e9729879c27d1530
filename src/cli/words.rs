//! Words of a command line that several commands read alike.

use crate::base::locale::t;

/// What names something: an id, a label, a name. One that is empty is a variable that nobody set, never the same as none.
///
/// # Errors
/// Where it is empty.
pub fn named(text: &str) -> Result<String, String> {
    if text.is_empty() { Err(t!("it is empty; leave it out where none is meant").into_owned()) } else { Ok(text.to_owned()) }
}

/// What Kubernetes calls an object: a DNS subdomain (RFC 1123).
///
/// # Errors
/// Where it is none.
pub fn subdomain(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let label = |label: &str| !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-');
    match text.len() <= 253 && text.split('.').all(label) {
        true => Ok(text.to_owned()),
        false => Err(t!("1 to 253 of a-z, 0-9, - and ., each part beginning and ending with a letter or a digit").into_owned()),
    }
}

/// `KEY=VALUE`
///
/// # Errors
/// Where there is no `=`, or nothing before it.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| t!("KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// `30d`, or `30`, of so many.
///
/// # Errors
/// Where it is no number of days, or not one of these.
pub fn days(text: &str, of: std::ops::RangeInclusive<u32>) -> Result<u32, String> {
    let number = text.strip_suffix('d').unwrap_or(text).parse().ok().filter(|days| of.contains(days));
    number.ok_or_else(|| t!("%{least}d to %{most}d", least = of.start(), most = of.end()).into_owned())
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;
    use clap::{Command, CommandFactory};

    use crate::cli::Cli;

    /// What may be empty: a text for people that is taken away.
    const MAY_BE_EMPTY: &[&str] = &["description", "reason"];

    fn refused(words: &[String]) -> bool {
        let kind = Cli::command().try_get_matches_from(words).map_err(|e| e.kind());
        matches!(kind, Err(ErrorKind::ValueValidation | ErrorKind::InvalidValue))
    }

    /// Tries every argument of the commands below with nothing in it.
    fn empty_everywhere(command: &Command, path: &[String], tried: &mut usize) {
        for argument in command.get_arguments() {
            let (id, takes) = (argument.get_id().as_str(), argument.get_action().takes_values());
            if !takes || MAY_BE_EMPTY.contains(&id) || argument.is_last_set() || argument.is_trailing_var_arg_set() {
                continue;
            }
            let mut words = path.to_vec();
            if let Some(long) = argument.get_long() {
                words.push(format!("--{long}="));
            } else {
                let before = argument.get_index().expect("an argument without a flag has a place") - 1;
                words.extend((0..before).map(|_| "x".to_owned()));
                words.push(String::new());
            }
            assert!(refused(&words), "{words:?}");
            *tried += 1;
        }
        for below in command.get_subcommands() {
            empty_everywhere(below, &[path, &[below.get_name().to_owned()]].concat(), tried);
        }
    }

    #[test]
    fn objects_of_kubernetes_are_called_like_hosts() {
        for name in ["bulla", "123", "a-b.c", &"x".repeat(253)] {
            assert!(super::subdomain(name).is_ok(), "{name}");
        }
        for name in ["", "a: b", "A", "a_b", "-a", "a-", "a..b", ".a", "a.", "a/b", &"x".repeat(254)] {
            assert!(super::subdomain(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_names_something_is_not_empty() {
        let (mut root, mut tried) = (Cli::command(), 0);
        root.build();
        for name in ["login", "whoami", "status", "secret", "key", "run", "inject", "agent"] {
            let command = root.find_subcommand(name).expect(name);
            empty_everywhere(command, &["bulla".to_owned(), name.to_owned()], &mut tried);
        }
        for flag in ["--profile=", "--endpoint=", "--ca="] {
            assert!(refused(&["bulla".to_owned(), flag.to_owned(), "whoami".to_owned()]), "{flag}");
        }
        assert!(tried > 100, "{tried}");
    }
}
