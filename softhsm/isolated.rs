//! Runs a test in a process of its own, with a SoftHSM token folder of its own.
//!
//! SoftHSM reads its configuration from the environment, keeps one login per process and is initialised once per process; so a
//! test that wants a token runs its own test binary again, with the variable set, for just this test. Tests then run side by side,
//! under `cargo test` as under nextest. See README.md here for the two lines that use it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Says to the child which folder is its own.
const HOME_VARIABLE: &str = "BULLA_TEST_HOME";

/// Runs `body` in a child process; `prepare` writes SoftHSM's configuration into the child's folder, which `body` is given.
///
/// `body` must be a closure written in the test function itself: the name of the test is taken from its type.
pub fn isolated<F: FnOnce(&Path)>(prepare: fn(&Path) -> io::Result<PathBuf>, body: F) {
    if let Some(home) = std::env::var_os(HOME_VARIABLE) {
        return body(Path::new(&home));
    }
    let home = tempfile::tempdir().expect("a temporary folder");
    let conf = prepare(home.path()).expect("SoftHSM's configuration");
    let test = test_of::<F>();
    let variables = [(HOME_VARIABLE, home.path().as_os_str()), ("SOFTHSM2_CONF", conf.as_os_str())];
    let output = run_test(&test, &variables);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test}: {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "no test of the name {test} ran:\n{out}");
}

/// Runs the test that contains this closure's type in yet another process, beside the one it is called from, with one more variable
/// set: "another node on the same token". The closure is not called.
#[allow(dead_code, reason = "not every test binary has a second node")]
pub fn second_process<F: FnOnce()>(_marker: F, variable: &str, value: &str) -> Output {
    run_test(&test_of::<F>(), &[(variable, value.as_ref())])
}

fn run_test(test: &str, variables: &[(&str, &OsStr)]) -> Output {
    Command::new(std::env::current_exe().expect("the test binary"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
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
