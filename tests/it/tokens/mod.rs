//! Everything that the service does, on every token that can be had here: real modules, as their packages install them.
//!
//! Each token has a table in docs/tokens.md: what works, and what is refused with which message. Nothing may fail. The tables are
//! written by these tests (`BULLA_GOLDEN=write`) and compared by them wherever the token is of the version that the table names; a
//! token that cannot be had is skipped, and says why; it is a failure where BULLA_TEST_TOKENS=all says that all can be had, as scripts/test.sh
//! does where it finds what they need.

use std::io::Write;
use std::process::Output;

mod ladder;
mod operators;
mod recorded;
mod rig;
mod script;
mod table;

use rig::{Absent, Rig};

/// Runs the script on a token and holds its table against the outcome.
fn on(name: &str, rig: Result<Rig, Absent>) {
    let Some(rig) = had(name, rig) else { return };
    let table = script::run(&rig);
    table::hold(name, &rig.version, &table);
}

/// A token, unless it cannot be had and need not be.
fn had(name: &str, rig: Result<Rig, Absent>) -> Option<Rig> {
    let wanted = std::env::var("BULLA_TEST_TOKENS").is_ok_and(|wanted| wanted == "all");
    match rig {
        Ok(rig) => Some(rig),
        Err(Absent(reason)) if wanted => panic!("{name} cannot be had: {reason}"),
        Err(Absent(reason)) => {
            // Past what a test that passes keeps to itself.
            let _ = writeln!(std::io::stderr(), "{name}: skipped: {reason}");
            None
        }
    }
}

/// All that a program said.
fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn softhsm() {
    on("SoftHSM", rig::softhsm());
}

#[test]
fn kryoptic() {
    on("kryoptic", rig::kryoptic());
}

#[test]
fn nss_through_p11_kit_proxy() {
    on("NSS softoken through p11-kit-proxy", rig::nss());
}

#[test]
fn opencryptoki_soft_token() {
    on("openCryptoki soft token", rig::opencryptoki());
}

#[test]
fn tpm2_pkcs11_on_swtpm() {
    on("tpm2-pkcs11 on swtpm", rig::tpm2());
}

#[test]
fn softhsm_behind_p11_kit_remoting() {
    on("SoftHSM behind p11-kit remoting", rig::remoting());
}
