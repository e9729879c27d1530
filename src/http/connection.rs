//! What a connection is doing, known to both its ends: the stream below the HTTP parser and the handler above it.
//!
//! Owns: the phases of a connection and the length of the request line being read. Must not know: sockets, requests.
//! Called by: guard (bytes come) and front (a request starts, an answer is ready). One thread only, hence cells.

use std::cell::Cell;
use std::sync::Arc;

use tokio::time::Instant;

use super::room::Place;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Accepted then; nothing has come.
    New(Instant),
    /// The first byte of a head came then (of the first head: the connection); the rest has not.
    Head(Instant),
    /// A request is with the handler, which has deadlines of its own for the body and the work.
    Busy,
    /// The last answer was given then, and nothing of a next request has come.
    Idle(Instant),
    /// The answer that ends the connection was given then; nothing that comes matters.
    Closing(Instant),
}

/// State of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    secure: bool,
    certificate: Option<Arc<[u8]>>,
    place: Place,
    phase: Cell<Phase>,
    line: Cell<Line>,
}

/// Length of the request line now being read.
#[derive(Debug, Clone, Copy)]
enum Line {
    Open(usize),
    Ended(usize),
}

impl Connection {
    /// A connection accepted now; whether it is under TLS, and the client's certificate in DER.
    pub fn new(secure: bool, certificate: Option<Arc<[u8]>>, place: Place) -> Self {
        Self { secure, certificate, place, phase: Cell::new(Phase::New(Instant::now())), line: Cell::new(Line::Open(0)) }
    }

    /// Whether it is under TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The client's certificate in DER, where it has shown one.
    pub fn certificate(&self) -> Option<&Arc<[u8]>> {
        self.certificate.as_ref()
    }

    /// Its place among all.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What it is doing.
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Bytes have come from the client.
    pub fn received(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match self.phase.get() {
            Phase::New(since) => self.phase.set(Phase::Head(since)),
            Phase::Idle(_) => self.phase.set(Phase::Head(Instant::now())),
            Phase::Head(_) | Phase::Busy | Phase::Closing(_) => {}
        }
        if let Line::Open(length) = self.line.get() {
            self.line.set(match bytes.iter().position(|&b| b == b'\n') {
                Some(at) => Line::Ended(length + at),
                None => Line::Open(length + bytes.len()),
            });
        }
    }

    /// Length of the request line so far. Exact for the first request and for one that comes after the answer to the one
    /// before; for a pipelined one it may fall short.
    pub fn line_length(&self) -> usize {
        match self.line.get() {
            Line::Open(length) | Line::Ended(length) => length,
        }
    }

    /// A whole head has come and its request is with the handler.
    pub fn started(&self) {
        self.phase.set(Phase::Busy);
    }

    /// The answer is ready to be sent; `last` if the connection ends with it, `known` if the caller has proved who it is.
    pub fn answered(&self, last: bool, known: bool) {
        let now = Instant::now();
        self.phase.set(if last { Phase::Closing(now) } else { Phase::Idle(now) });
        self.line.set(Line::Open(0));
        self.place.answered(known);
    }
}
