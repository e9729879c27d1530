//! What a connection is doing, known to both its ends: the stream below the HTTP parser and the handler above it.
//!
//! Owns: the phases of a connection, which bytes are of its present request, and the length of the request line being read. Must not
//! know: sockets, requests. Called by: deadlines (bytes come) and handler (a request starts, an answer is ready). One thread only, hence cells.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::time::Instant;

use super::body::Length;
use super::framing::Framing;
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
    framing: Cell<Framing>,
    /// Who waits for bytes that may be passed on.
    reader: RefCell<Option<Waker>>,
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
        Self {
            secure,
            certificate,
            place,
            phase: Cell::new(Phase::New(Instant::now())),
            framing: Cell::new(Framing::NEXT),
            reader: RefCell::new(None),
            line: Cell::new(Line::Open(0)),
        }
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

    /// Whether bytes may be passed on to the parser now; who waits for that is woken when they may.
    pub fn is_open(&self, cx: &Context<'_>) -> bool {
        let open = !self.framing.get().is_closed();
        if !open {
            *self.reader.borrow_mut() = Some(cx.waker().clone());
        }
        open
    }

    /// How many of these bytes from the client may be passed on, which then are.
    pub fn pass(&self, bytes: &[u8]) -> usize {
        let mut framing = self.framing.get();
        let passed = framing.pass(bytes);
        self.framing.set(framing);
        self.received(&bytes[..passed]);
        passed
    }

    fn frame(&self, framing: Framing) {
        self.framing.set(framing);
        if !framing.is_closed()
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
    }

    fn received(&self, bytes: &[u8]) {
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

    /// Length of the request line so far.
    pub fn line_length(&self) -> usize {
        match self.line.get() {
            Line::Open(length) | Line::Ended(length) => length,
        }
    }

    /// A whole head has come and its request is with the handler; it has a body of this length.
    pub fn started(&self, body: Length) {
        self.phase.set(Phase::Busy);
        self.frame(Framing::body(body));
    }

    /// The answer is ready to be sent; `last` if the connection ends with it, `known` if the caller has proved who it is.
    pub fn answered(&self, last: bool, known: bool) {
        let now = Instant::now();
        self.phase.set(if last { Phase::Closing(now) } else { Phase::Idle(now) });
        self.line.set(Line::Open(0));
        // What is left of a body that nobody read is the parser's to skip.
        self.frame(if last || self.framing.get() != Framing::Whole { Framing::All } else { Framing::NEXT });
        self.place.answered(known);
    }
}
