//! What the HTTP server calls: the doors, and whether its parts answer.
//!
//! Owns: that adapter. Must not know: sockets, operations. Called by: http, to which app::server hands it.

use std::sync::Arc;

use crate::app::vitals::Vital;
use crate::audit::{Audit, AuditError, Ticket};
use crate::base::clock_check::ClockCheck;
use crate::base::ids::RequestId;
use crate::dialects::{Answer, Doors, rpc};
use crate::error::Error;
use crate::http;

/// What the HTTP front calls.
pub(super) struct Front {
    pub(super) doors: Doors,
    pub(super) audit: Arc<Audit>,
    pub(super) token: Arc<Vital>,
    pub(super) database: Vital,
    pub(super) clocks: Arc<ClockCheck>,
}

impl http::Durable for Ticket {
    type Lost = AuditError;

    fn then(self, follow: impl FnOnce(Result<(), AuditError>) + Send + 'static) {
        Ticket::then(self, follow);
    }
}

impl http::Service for Front {
    type Durable = Ticket;

    fn accepts(&self, method: http::Method, path: &str) -> Result<(), Error> {
        self.doors.accepts(method, path)
    }

    fn refuse(&self, path: &str, error: &Error, request_id: &RequestId) -> (http::Reply, &'static str) {
        let (reply, code) = self.doors.refuse(path, error, request_id);
        (reply, code.as_str())
    }

    fn call(&self, call: http::Call) -> http::Answer<Self::Durable> {
        let Answer { reply, action, done } = self.doors.call(&call);
        let action = action.map_or_else(|| http::Action::Unknown(done.asked), http::Action::Served);
        http::Answer { reply, action, code: done.code.as_str(), known: done.known, durable: done.durable }
    }

    fn request_id_header(&self) -> &'static str {
        rpc::REQUEST_ID
    }

    fn readiness(&self) -> http::Readiness {
        http::Readiness {
            token: self.token.now(),
            database: self.database.now(),
            audit: self.audit.health().map_err(|e| e.to_string()),
            clock: match self.clocks.proved() {
                Ok(_) => Ok(None),
                Err(doubt) if doubt.contradicted => Err(doubt.reason),
                Err(doubt) => Ok(Some(doubt.reason)),
            },
        }
    }
}
