//! Runs a test in a process of its own, with a SoftHSM token folder of its own.
//!
//! SoftHSM reads its configuration from the environment, keeps one login per process and is initialised once per process; so a
//! test that wants a token runs its own test binary again, with the variable set, for just this test. Tests then run side by side,
//! under `cargo test` as under nextest. See README.md here for the two lines that use it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Says to the child which folder is its own.
const HOME_VARIABLE: &str = "BULLA_TEST_HOME";

/// Environment variables of a child.
pub type Variables = Vec<(&'static str, OsString)>;

/// Runs `body` in a child process; `prepare` writes SoftHSM's configuration into the child's folder, which `body` is given and in
/// which the child starts.
///
/// `body` must be a closure written in the test function itself: the name of the test is taken from its type.
#[allow(dead_code, reason = "not every test binary has use for both")]
pub fn isolated<F: FnOnce(&Path)>(prepare: fn(&Path) -> io::Result<PathBuf>, body: F) {
    isolated_each(prepare, &[vec![]], body);
}

/// The same in one child after the other, one for each list of variables.
#[allow(dead_code, reason = "not every test binary has use for both")]
pub fn isolated_each<F: FnOnce(&Path)>(prepare: fn(&Path) -> io::Result<PathBuf>, children: &[Variables], body: F) {
    if let Some(home) = std::env::var_os(HOME_VARIABLE) {
        return body(Path::new(&home));
    }
    for variables in children {
        run_child(prepare, variables, &test_of::<F>());
    }
}

fn run_child(prepare: fn(&Path) -> io::Result<PathBuf>, variables: &Variables, test: &str) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let conf = prepare(home.path()).expect("SoftHSM's configuration");
    let own = [(HOME_VARIABLE, home.path().as_os_str()), ("SOFTHSM2_CONF", conf.as_os_str())];
    let all: Vec<_> = own.into_iter().chain(variables.iter().map(|(name, value)| (*name, value.as_os_str()))).collect();
    let output = run_test(test, home.path(), &all);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test}: {variables:?}: {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "no test of the name {test} ran:\n{out}");
}

/// Runs the test that contains this closure's type in yet another process, beside the one it is called from, with one more variable
/// set: "another node on the same token". The closure is not called.
#[allow(dead_code, reason = "not every test binary has a second node")]
pub fn second_process<F: FnOnce()>(_marker: F, variable: &str, value: &str) -> Output {
    run_test(&test_of::<F>(), Path::new("."), &[(variable, value.as_ref())])
}

fn run_test(test: &str, folder: &Path, variables: &[(&str, &OsStr)]) -> Output {
    Command::new(std::env::current_exe().expect("the test binary"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .current_dir(folder)
        .envs(variables.iter().copied())
        .output()
        .expect("the test binary runs")
}

/// `token::tests::creation` from `bulla::token::tests::creation::{{closure}}`.
fn test_of<F>() -> String {
    let name = std::any::type_name::<F>();
    let path = name.split_once("::").expect("a path").1;
    path.split("::{{closure}}").next().expect("split gives one part at least").to_owned()
}
