//! One call to a server, in bounded time.
//!
//! Owns: the deadline, and how many threads a silent server can hold. Must not know: statements. Called by: servers.
//!
//! libpq waits for an answer as long as the connection stands, which a frozen server can keep up for ever. So a call runs on a
//! thread of its own, which its caller leaves behind at the deadline; when so many are left behind, no other begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::servers::options::ServerError;
use crate::servers::{mysql, postgres};

/// The longest that a caller waits.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// Calls that may be under way on one server.
const MAX_CALLS: usize = 8;

/// Who logs in, and how: all that a connection needs.
pub(super) enum Login {
    /// A connection string of libpq.
    Postgres(Zeroizing<String>),
    /// Options of the MySQL client.
    MySql(Box<::mysql::OptsBuilder>),
}

impl Login {
    fn run(self, statement: Option<&str>) -> Result<(), ServerError> {
        match self {
            Login::Postgres(conninfo) => postgres::run(&conninfo, statement),
            Login::MySql(options) => mysql::run(*options, statement),
        }
    }
}

/// The calls under way on one server.
#[derive(Default)]
pub(super) struct Calls(Arc<AtomicUsize>);

/// Counts one of them for as long as it stands.
struct CallSlot(Arc<AtomicUsize>);

impl Drop for CallSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Calls {
    /// Logs in, and runs a statement if there is one.
    pub fn make(&self, login: Login, statement: Option<Zeroizing<String>>) -> Result<(), ServerError> {
        let slot = CallSlot(Arc::clone(&self.0));
        if self.0.fetch_add(1, Ordering::AcqRel) >= MAX_CALLS {
            return Err(ServerError::Unreachable("earlier calls still wait for an answer".into()));
        }
        let (done, result) = mpsc::channel();
        let call = move || {
            let _slot = slot;
            // Nobody waits for the result any more after the deadline.
            let _ = done.send(login.run(statement.as_ref().map(|text| text.as_str())));
        };
        let thread = std::thread::Builder::new().name("bulla-server-call".into());
        thread.spawn(call).map_err(|e| ServerError::Unreachable(format!("no thread: {e}")))?;
        result.recv_timeout(DEADLINE).unwrap_or_else(|_| Err(ServerError::Unreachable("no answer in time".into())))
    }
}
