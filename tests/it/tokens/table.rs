//! The tables of docs/tokens.md.

use std::fs;
use std::path::PathBuf;

use parking_lot::Mutex;

/// What came of each thing that was done, in order.
pub(super) type Table = Vec<(String, Outcome)>;

/// What came of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It did what it should.
    Works,
    /// It was refused, with this message.
    Refused(String),
    /// Neither.
    Fails(String),
}

/// One test at a time writes the file.
static FILE: Mutex<()> = Mutex::new(());

fn file() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "docs/tokens.md"].iter().collect()
}

/// Holds a table against the one in the documentation, or writes it there.
///
/// # Panics
/// When something failed, or the documentation says something else of this version of the token.
pub(super) fn hold(name: &str, version: &str, table: &Table) {
    let failed: Vec<_> = table.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Fails(_))).collect();
    assert!(failed.is_empty(), "{name}: {failed:#?}");
    let _one = FILE.lock();
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let text = fs::read_to_string(file()).expect("docs/tokens.md");
    let (head, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("no table for {name} in docs/tokens.md"));
    let (there, tail) = rest.split_once(&end).expect("the end of the table");
    let fresh = rendered(version, table);
    if std::env::var("BULLA_GOLDEN").is_ok_and(|v| v == "write") {
        fs::write(file(), format!("{head}{begin}{fresh}{end}{tail}")).expect("docs/tokens.md can be written");
    } else if there.starts_with(&format!("Version: {version}.\n")) {
        assert_eq!(there, fresh, "if this is right: BULLA_GOLDEN=write cargo test --test it tokens -- --test-threads=1");
    } else {
        eprintln!("{name}: {version} is another version than the documentation's; nothing failed");
    }
}

fn rendered(version: &str, table: &Table) -> String {
    let mut text = format!("Version: {version}.\n\n| what | outcome |\n|---|---|\n");
    for (what, outcome) in table {
        let outcome = match outcome {
            Outcome::Works => "works".to_owned(),
            Outcome::Refused(message) => format!("refused: {}", message.replace('|', "\\|")),
            Outcome::Fails(message) => format!("FAILS: {message}"),
        };
        text.push_str(&format!("| {what} | {outcome} |\n"));
    }
    text
}
