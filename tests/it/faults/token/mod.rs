//! The service on a token that fails, hangs, is unplugged, or is of another vendor: SoftHSM behind the chaos module.
//!
//! Sizes are for every run of the tests; with BULLA_SOAK=1 in the environment they are those of a long run.

mod files;
mod hangs;
mod logins;
mod permission;
mod sick;
mod unplugged;
mod vendors;

use bulla_test_support::chaos::{Chaos, Environment, Function};
use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;

use crate::BULLA;

/// A server whose token obeys.
struct Rig {
    folder: tempfile::TempDir,
    server: Server,
}

impl Rig {
    /// A fresh server on SQLite; its chaos module is told these commands before its first call.
    fn new(start: &str, more: Environment) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let behind = bulla::token::softhsm::module().expect("softhsm2 is installed");
        let mut environment = Chaos::environment(&behind, folder.path(), start);
        environment.extend(more);
        let server = Server::dev_with(BULLA, folder.path().join("data"), None, &environment);
        Self { folder, server }
    }

    /// The line to the server's chaos module.
    fn chaos(&self) -> Chaos {
        Chaos::of(self.folder.path(), self.server.pid().expect("it runs"))
    }
}

/// What holds whatever happened: no attribute of a live object was changed, no IV was used twice.
fn never(chaos: &Chaos) {
    assert_eq!(chaos.calls(Function::C_SetAttributeValue), 0);
    assert_eq!(chaos.ivs().1, 0, "IVs that were used twice");
}
