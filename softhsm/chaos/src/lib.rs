//! A PKCS#11 module that forwards to another one and misbehaves on command: tokens that fail, hang, are unplugged, make their own
//! IVs, hide keys, lie. For tests of any program that uses PKCS#11; softhsm/README.md says how.
//!
//! | file | answers |
//! |---|---|
//! | `forward.rs`, `special.rs`, `attributes.rs` | what each function does |
//! | `faults.rs` | which calls fail, wait or hang |
//! | `plug.rs`, `numbers.rs` | whether the token is there, and under which numbers |
//! | `gcm.rs` | who makes the IV |
//! | `refusals.rs` | what the token refuses to be asked |
//! | `command.rs`, `control.rs`, `codes.rs` | how it is told |
//! | `real.rs` | the module behind |

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use codes::RETURN_CODES;
pub use forward::Function;
pub use special::C_GetFunctionList;

use faults::Faults;
use plug::Plug;

mod attributes;
mod codes;
mod command;
mod control;
mod faults;
mod forward;
mod gcm;
mod numbers;
mod plug;
mod random;
mod real;
mod refusals;
mod special;

/// The environment variable with the path of the module behind.
pub const MODULE_VARIABLE: &str = "BULLA_CHAOS_MODULE";

/// The environment variable with a text that C_Initialize hands to the module behind as its reserved argument; NSS wants one.
pub const RESERVED_VARIABLE: &str = "BULLA_CHAOS_RESERVED";

/// The environment variable with the folder of the control sockets; without it there is none.
pub const CONTROL_VARIABLE: &str = "BULLA_CHAOS_CONTROL";

/// The environment variable with commands to obey before the first call, separated by `;`.
pub const START_VARIABLE: &str = "BULLA_CHAOS_START";

/// The control socket of a process. One a process, so that a server and a command beside it can both have the module.
pub fn socket(folder: &Path, process: u32) -> PathBuf {
    folder.join(format!("{process}.sock"))
}

/// The module as cargo has built it, for a test binary whose package depends on this one: cargo puts the shared libraries of a
/// binary's packages into the folder of the binary.
///
/// # Panics
/// When it is not there.
pub fn module() -> PathBuf {
    let binary = std::env::current_exe().expect("a program knows where it is");
    let module = binary.with_file_name("libbulla_chaos.so");
    assert!(module.exists(), "{} is not there: is bulla-chaos among the dependencies of this test?", module.display());
    module
}

/// All of it.
struct Chaos {
    faults: Faults,
    plug: Plug,
}

/// The one of this process.
fn chaos() -> &'static Chaos {
    static CHAOS: OnceLock<Chaos> = OnceLock::new();
    CHAOS.get_or_init(|| Chaos { faults: Faults::new(), plug: Plug::new() })
}

/// Loads the module behind, obeys the commands of the environment, opens the control socket. Once; later calls do nothing.
fn start() -> Result<(), String> {
    static STARTED: OnceLock<Result<(), String>> = OnceLock::new();
    STARTED
        .get_or_init(|| {
            real::load()?;
            for line in std::env::var(START_VARIABLE).unwrap_or_default().split(';').filter(|line| !line.trim().is_empty()) {
                command::obey(chaos(), line)?;
            }
            match std::env::var_os(CONTROL_VARIABLE) {
                Some(folder) => control::listen(Path::new(&folder)).map_err(|e| format!("{}: {e}", folder.display())),
                None => Ok(()),
            }
        })
        .clone()
}
