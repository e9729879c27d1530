//! Reads while each call to the token takes its time, as it does across a network: the chaos module before SoftHSM waits for what is left
//! of it.
//!
//! Owns: these rows. What is the most that can be: sessions ÷ (calls × time of a call), as long as the machine itself gives more. Reads from
//! memory are compared with reads from memory on a token that takes no time.

use std::time::Duration;

use bulla_test_support::chaos::Chaos;
use bulla_test_support::server::Server;

use crate::floor::Failure;
use crate::programs::{self, Program};
use crate::side::{Side, What};
use crate::{Plan, print};

/// A call, milliseconds.
const CALLS_MS: [u64; 3] = [1, 2, 5];

const SESSIONS: [usize; 3] = [8, 16, 64];

/// Calls of a read.
const CALLS: u64 = 2;

/// Secrets that are read.
const AMONG: usize = 200;

/// Prints the rows.
///
/// # Errors
/// When a server does not start, or does not answer well.
pub fn rows(plan: &Plan) -> Result<(), Failure> {
    let (alone, cached) = (reads(plan, 0, 64, false)?, reads(plan, 0, 64, true)?);
    print(&format!(
        "\nreads a second while a call to the token takes its time; {alone:.0} without, {cached:.0} with the cache on\n  ms a call  sessions     most    reads  of the most  cache on  of {cached:.0}"
    ))?;
    for ms in CALLS_MS {
        for sessions in SESSIONS {
            let most = (sessions as f64 / (CALLS * ms) as f64 * 1_000.0).min(alone);
            let (without, with) = (reads(plan, ms, sessions, false)?, reads(plan, ms, sessions, true)?);
            print(&format!(
                "{ms:>11}  {sessions:>8}  {most:>7.0}  {without:>7.0}  {:>11.2}  {with:>8.0}  {:>7.2}",
                without / most,
                with / cached
            ))?;
        }
    }
    Ok(())
}

fn reads(plan: &Plan, ms: u64, sessions: usize, cache: bool) -> Result<f64, Failure> {
    let folder = tempfile::tempdir()?;
    let module = bulla::token::softhsm::module().ok_or("SoftHSM is not installed")?;
    let delay = if ms == 0 { String::new() } else { format!("lasts C_DecryptInit {ms}; lasts C_Decrypt {ms}") };
    let mut environment = Chaos::environment(&module, folder.path(), &delay);
    environment.push(("BULLA_TOKEN__SESSIONS", sessions.to_string()));
    environment.push(("BULLA_SERVER__THREADS", "128".to_owned()));
    if cache {
        environment.push(("BULLA_KEYS__DATA_KEY_CACHE_ENTRIES", "100000".to_owned()));
    }
    let server = Server::dev_with(programs::bulla(), folder.path().join("data"), None, &environment);
    let mut side = Side::new(Program::Bulla(Box::new(server)));
    side.fill(AMONG)?;
    let outcome = side.run(What::Read { among: AMONG }, 128, plan.short.max(Duration::from_millis(500)))?;
    Ok(outcome.per_second)
}
