//! Bulla beside Bulla as of another commit, in turns within one run: what a change costs or brings is seen before it lands.
//!
//! Owns: building the other one, and these rows. Rates of different hours say nothing of each other: this machine or its neighbours have
//! other things to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::floor::Failure;
use crate::programs::{self, Program};
use crate::side::{Side, What, compare};
use crate::{CONNECTIONS, Plan, cell, print};

/// Prints the rows.
///
/// # Errors
/// When the commit cannot be built, or a server does not answer well.
pub fn rows(commit: &str, plan: &Plan) -> Result<(), Failure> {
    let other = build(commit)?;
    let folder = tempfile::tempdir()?;
    let mut then = Side::new(Program::bulla_of(other, &folder.path().join("then")));
    let mut now = Side::new(Program::bulla(&folder.path().join("now")));
    let among = plan.stored[0];
    then.fill(among)?;
    now.fill(among)?;
    print(&format!(
        "{}\n{} runs of {:?} each, in turns, medians\n\nrequests a second (p50/p99 in ms, µs of processor per request)\n\
         what        conns  {commit:<29}  now                            rate  processor",
        programs::machine(),
        plan.runs,
        plan.time,
    ))?;
    for (what, word) in [(What::Read { among }, "read"), (What::Create, "create"), (What::Put { among }, "put")] {
        for connections in CONNECTIONS {
            let [then, now] = compare([&mut then, &mut now], what, connections, plan.runs, plan.time)?;
            print(&format!(
                "{word:<10}  {connections:>5}  {}  {}  {:>5.2}  {:>9.2}",
                cell(&then),
                cell(&now),
                now.per_second / then.per_second,
                now.cpu.as_secs_f64() / then.cpu.as_secs_f64(),
            ))?;
        }
    }
    Ok(())
}

/// The release build of a commit: its files and what is built of them are below the target folder.
fn build(commit: &str) -> Result<PathBuf, Failure> {
    let folder =
        programs::bulla().parent().and_then(Path::parent).ok_or("this program stands in no target folder")?.join("compare");
    let (tree, target) = (folder.join("tree"), folder.join("target"));
    run(Command::new("git").args(["worktree", "add", "--quiet", "--force", "--detach"]).arg(&tree).arg(commit))?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--bin", "bulla"]).current_dir(&tree).env("CARGO_TARGET_DIR", &target);
    let built = run(&mut cargo);
    run(Command::new("git").args(["worktree", "remove", "--force"]).arg(&tree))?;
    built.map(|()| target.join("release/bulla"))
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}
