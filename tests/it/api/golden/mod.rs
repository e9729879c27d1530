//! Golden transcripts: for every operation a short scenario, `tests/golden/<Operation>.txt`, with the answers that the service
//! gives, in JSON and in XML. The README there says how to write one.
//!
//! What is compared is all that a caller sees: the status and every byte of the body, but for what differs from run to run.

mod coverage;
mod effects;
mod layout;
mod managed;
pub mod run;
mod text;
mod transcript;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bulla::token::softhsm;
use bulla_test_support::server::Server;
use run::{Account, Maker, Outcome};
use transcript::Transcript;

use crate::BULLA;
use crate::isolated::isolated;

/// Transcripts that run at the same time.
const AT_ONCE: usize = 4;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The transcripts there are, sorted by name.
fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("tests/golden is there");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    files.sort();
    files
}

fn read(path: &Path) -> Transcript {
    let text = std::fs::read_to_string(path).expect("readable");
    Transcript::parse(&name_of(path), &text).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
}

fn name_of(path: &Path) -> String {
    path.file_stem().expect("it has a name").to_string_lossy().into_owned()
}

/// The transcripts that this run is about: all, or those that `BULLA_GOLDEN_ONLY` names (by commas).
fn chosen() -> Vec<PathBuf> {
    let only = std::env::var("BULLA_GOLDEN_ONLY").unwrap_or_default();
    let named = |path: &PathBuf| only.is_empty() || only.split(',').any(|name| name == name_of(path));
    files().into_iter().filter(named).collect()
}

/// What is wrong with a transcript's answers; writes them down instead when told to.
fn check(accounts: &mut [Account; 2], nowhere: &Account, path: &Path, write: bool) -> Vec<String> {
    let old = read(path);
    let Outcome { transcript, mut problems } = run::run(accounts, nowhere, old.clone());
    let (was, is) = (old.render(), transcript.render());
    if write {
        std::fs::write(path, is).expect("writable");
    } else if was != is {
        let diff = similar::TextDiff::from_lines(&was, &is);
        let diff = diff.unified_diff().context_radius(6).header("recorded", "answered").to_string();
        problems.push(format!("{diff}\nIf the new answers are right: BULLA_GOLDEN=write cargo test --test it golden"));
    }
    problems.iter().map(|problem| format!("{}: {problem}", path.display())).collect()
}

/// Runs transcripts, a few at a time; all that is wrong.
fn check_all(todo: Vec<([Account; 2], PathBuf)>, nowhere: &Account) -> Vec<String> {
    let write = std::env::var("BULLA_GOLDEN").is_ok_and(|v| v == "write");
    let (todo, problems) = (Mutex::new(todo), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((mut accounts, path)) = todo.lock().expect("no panic").pop() else { return };
                    let found = check(&mut accounts, nowhere, &path, write);
                    problems.lock().expect("no panic").extend(found);
                }
            });
        }
    });
    problems.into_inner().expect("no panic")
}

fn data(home: &Path) -> PathBuf {
    home.join("data")
}

#[test]
fn every_answer_is_as_recorded() {
    // In a process of its own, which may open the server's token to make accounts on it.
    isolated(
        |home| softhsm::prepare(&data(home)),
        |home| {
            let managed = managed::start(home);
            let setting = managed.setting();
            let server = Server::dev_with(BULLA, data(home), None, &[(setting.0, &setting.1)]);
            let maker = Maker::new(&server);
            let nowhere = maker.account("nowhere");
            let accounts = |path: &PathBuf| ["json", "xml"].map(|format| maker.account(&format!("{}.{format}", name_of(path))));
            let todo: Vec<_> = chosen().into_iter().map(|path| (accounts(&path), path)).collect();
            drop(maker);
            managed.roles(todo.iter().flat_map(|(accounts, _): &([Account; 2], _)| accounts.iter().map(Account::id)));
            let problems = check_all(todo, &nowhere);
            assert!(problems.is_empty(), "{}", problems.join("\n"));
        },
    );
}
