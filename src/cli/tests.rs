//! Every text for people has its translation, and no translation is left over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};
use yaml_rust2::YamlLoader;

use super::Cli;
use crate::base::locale::FOREIGN;

/// The file's keys, which are the English texts, and their translations.
fn translations() -> BTreeMap<String, String> {
    let text = include_str!("../../locales/zh-CN.yml");
    let documents = YamlLoader::load_from_str(text).expect("locales/zh-CN.yml is YAML, each key once");
    let pairs = documents[0].as_hash().expect("a table");
    let text = |yaml: &yaml_rust2::Yaml| yaml.as_str().expect("texts").to_owned();
    pairs.iter().map(|(key, value)| (text(key), text(value))).collect()
}

/// Every text of the table of commands that a page of help shows, but the values that an argument can have.
fn texts_of(command: &Command, found: &mut BTreeSet<String>) {
    let mut add = |text: Option<&clap::builder::StyledStr>| found.extend(text.map(ToString::to_string));
    add(command.get_about());
    add(command.get_long_about());
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        add(argument.get_help());
        add(argument.get_long_help());
        for value in argument.get_possible_values() {
            add(value.get_help());
        }
    }
    for below in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        texts_of(below, found);
    }
}

/// A call of `t!`: its text, and the names of the values in it.
struct Call {
    text: String,
    values: BTreeSet<String>,
}

/// Reads a literal of Rust that begins here; gives its text and what follows.
fn literal(source: &str) -> Option<(String, &str)> {
    let mut chars = source.strip_prefix('"')?.char_indices();
    let mut text = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((text, &source[at + 2..])),
            '\\' => match chars.next()?.1 {
                'n' => text.push('\n'),
                '\n' => {
                    let rest = chars.as_str();
                    let blanks = rest.len() - rest.trim_start().len();
                    for _ in 0..rest[..blanks].chars().count() {
                        chars.next();
                    }
                }
                c @ ('"' | '\\') => text.push(c),
                c => panic!("an escape that this test does not know: {c}"),
            },
            c => text.push(c),
        }
    }
    None
}

/// The calls of `t!` in a source, outside comments.
fn calls(source: &str) -> Vec<Call> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("t!(") {
        let line = source[..at].rsplit('\n').next().unwrap_or_default();
        if line.trim_start().starts_with("//") || line.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let Some((text, mut rest)) = literal(source[at + 3..].trim_start()) else { continue };
        let (mut depth, mut values) = (0, BTreeSet::new());
        while let Some(c) = rest.chars().next() {
            if let Some((_, behind)) = literal(rest) {
                rest = behind;
                continue;
            }
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' if depth == 0 => break,
                ')' | ']' | '}' => depth -= 1,
                ',' if depth == 0 => {
                    let name = rest[1..].trim_start();
                    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
                    if name[end..].trim_start().starts_with('=') {
                        values.insert(name[..end].to_owned());
                    }
                }
                _ => {}
            }
            rest = &rest[c.len_utf8()..];
        }
        values.remove("locale");
        found.push(Call { text, values });
    }
    found
}

/// All calls in src/, by file.
fn all_calls() -> Vec<(String, Call)> {
    fn walk(folder: &Path, found: &mut Vec<(String, Call)>) {
        for entry in fs::read_dir(folder).expect("src/ can be read") {
            let path = entry.expect("src/ can be read").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !path.ends_with("base/locale.rs")
                && !path.ends_with("cli/tests.rs")
            {
                let source = fs::read_to_string(&path).expect("text");
                found.extend(calls(&source).into_iter().map(|call| (path.display().to_string(), call)));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 20, "src/ was not found");
    found
}

/// The names in `%{name}`.
fn places(text: &str) -> BTreeSet<String> {
    text.split("%{").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name.to_owned()).collect()
}

/// What is looked up and stands in no call.
fn others() -> BTreeSet<String> {
    let mut texts: BTreeSet<String> = FOREIGN.iter().map(|text| (*text).to_owned()).collect();
    // locale::about
    texts.insert("%{subject}: %{reason}".to_owned());
    // What the library says of a code.
    texts.extend(bulla_client::error::HINTS.iter().map(|(.., hint)| (*hint).to_owned()));
    texts.extend(super::spoken::OF_CLAP.concat().iter().map(|text| (*text).to_owned()));
    let mut table = Cli::command();
    table.build();
    let mut of_table = BTreeSet::new();
    texts_of(&table, &mut of_table);
    // clap's own flags and command are among them.
    texts.extend(of_table);
    texts
}

#[test]
fn calls_are_found_with_their_values() {
    let source = "t!(\"a\\n%{b}\", b = f(\"x, c = 1\"), d = 2)\n// t!(\"no\")\nassert!(\"no\") t!(\n \"e\",\n)";
    let found: Vec<_> = calls(source).into_iter().map(|call| (call.text, Vec::from_iter(call.values))).collect();
    assert_eq!(found, [("a\n%{b}".to_owned(), vec!["b".to_owned(), "d".to_owned()]), ("e".to_owned(), vec![])]);
}

#[test]
fn every_text_has_a_translation() {
    let there = translations();
    let mut wanted = others();
    wanted.extend(all_calls().into_iter().map(|(_, call)| call.text));
    let missing: Vec<String> =
        wanted.iter().filter(|text| !there.contains_key(*text)).map(|text| format!("{text:?}: \"\"")).collect();
    assert!(missing.is_empty(), "add these to locales/zh-CN.yml, in Chinese:\n{}", missing.join("\n"));
}

#[cfg(feature = "server")]
#[test]
fn no_translation_is_left_over() {
    let mut used = others();
    used.extend(all_calls().into_iter().map(|(_, call)| call.text));
    let left: Vec<String> = translations().into_keys().filter(|key| !used.contains(key)).collect();
    assert!(left.is_empty(), "nobody says these of locales/zh-CN.yml any more:\n{}", left.join("\n"));
}

#[test]
fn values_are_named_alike() {
    for (file, call) in all_calls() {
        assert_eq!(places(&call.text), call.values, "{file}: {:?}", call.text);
    }
    for (english, chinese) in translations() {
        assert_eq!(places(&english), places(&chinese), "{english:?}");
        assert!(!chinese.trim().is_empty(), "{english:?}");
    }
}
