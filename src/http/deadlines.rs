//! The stream between the socket and the HTTP parser of actix-http. It mends what the parser does not offer:
//!
//! - Requests that the parser refuses (malformed or too large heads) it answers itself, with an empty body. Clients of this API
//!   then see a parse error instead of a code. Such an answer is recognised on its way out and replaced by one in the API's form.
//! - Its deadline for heads holds for the first request of a connection only, its keep-alive timer starts anew whenever the
//!   connection is looked at, and an answer that nobody reads, or the unread rest of a refused body, has no deadline. Here all
//!   of these have one.
//! - After a refusal it closes at once. With bytes unread that makes the kernel reset the connection, and the client may lose
//!   the answer. Here the rest is read and thrown away, for [`LINGER`] at most.
//! - It reads requests ahead, and frames an answer by the last head that it read. Here it gets one request at a time ([`framing`]).
//!
//! [`framing`]: super::framing
//!
//! Owns: deadlines of heads and writes, the end of a connection. Must not know: what answers look like. Called by: actix-http.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use zeroize::Zeroizing;

use super::connection::{Connection, Phase};
use super::first_byte;
use super::parser_refusals::{error_of, refusal};
use super::room::Place;
use super::stream::Stream;
use crate::error::Error;

/// How long a connection that was refused is read from, so that the client gets the answer.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// Makes the whole answer (head and body, ending the connection) to a refused request, and counts it.
pub(super) type Refuse = Rc<dyn Fn(&Error, Option<SocketAddr>) -> Vec<u8>>;

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// From an answer to the first byte of the next head.
    pub keep_alive: Duration,
    /// Without a byte of an answer taken by the client.
    pub write: Duration,
}

/// A connection with deadlines.
pub(super) struct Timed {
    io: Stream,
    peer: Option<SocketAddr>,
    connection: Rc<Connection>,
    deadlines: Deadlines,
    refuse: Refuse,
    /// Wakes the connection at its next deadline at the latest. It is set anew when it fires, not at each request.
    tick: Pin<Box<Sleep>>,
    /// What has come of requests whose turn it is not yet.
    ahead: Zeroizing<Vec<u8>>,
    /// Since when the client takes nothing of what is to be sent.
    stalled: Option<Instant>,
    ending: Option<Ending>,
}

/// The last thing a connection does.
enum Ending {
    /// Sends this answer, of which so many bytes are sent.
    Answer(Vec<u8>, usize),
    /// Reads until the client closes or `tick` fires.
    Linger,
    /// Nothing.
    Over,
}

/// A deadline that has passed.
enum Overdue {
    /// Nothing came that deserves an answer.
    Silence,
    Head,
    Write,
}

impl Deadlines {
    /// How often a connection looks at its deadlines at least.
    fn tick(&self) -> Duration {
        self.head.min(self.keep_alive).min(self.write).min(LINGER)
    }
}

impl Timed {
    pub fn new(io: Stream, place: Place, deadlines: Deadlines, refuse: Refuse) -> Self {
        Self {
            peer: io.peer(),
            connection: Rc::new(Connection::new(io.is_secure(), io.client_certificate(), place)),
            io,
            deadlines,
            refuse,
            tick: Box::pin(sleep(deadlines.tick())),
            ahead: Zeroizing::default(),
            stalled: None,
            ending: None,
        }
    }

    /// The state shared with the handler.
    pub fn connection(&self) -> Rc<Connection> {
        Rc::clone(&self.connection)
    }

    /// The client's socket address.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Option<Overdue> {
        if self.connection.place().must_leave(cx) && self.connection.phase() != Phase::Busy {
            return Some(if self.stalled.is_some() { Overdue::Write } else { Overdue::Silence });
        }
        while self.tick.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let write = self.stalled.map(|since| (since + self.deadlines.write, Overdue::Write));
            let read = match self.connection.phase() {
                Phase::New(since) => Some((since + self.deadlines.head, Overdue::Silence)),
                Phase::Head(since) => Some((since + self.deadlines.head, Overdue::Head)),
                Phase::Idle(since) => Some((since + self.deadlines.keep_alive, Overdue::Silence)),
                Phase::Closing(since) => Some((since + LINGER, Overdue::Silence)),
                Phase::Busy => None,
            };
            let mut next = now + self.deadlines.tick();
            // While an answer is not taken, what comes next need not come.
            if let Some((at, overdue)) = write.or(read) {
                if at <= now {
                    return Some(overdue);
                }
                next = next.min(at);
            }
            self.tick.as_mut().reset(next);
        }
        None
    }

    /// Ends a write (or the flush of what TLS holds back) that the client has taken nothing of for too long.
    fn watch<T>(&mut self, outcome: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        self.stalled.get_or_insert_with(Instant::now);
        match self.poll_overdue(cx) {
            Some(Overdue::Write) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            _ => Poll::Pending,
        }
    }

    /// Reads of the present request.
    fn poll_request(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.connection.is_open(cx) {
            return Poll::Pending;
        }
        if !self.ahead.is_empty() {
            let some = self.ahead.len().min(buf.remaining());
            let passed = self.connection.pass(&self.ahead[..some]);
            buf.put_slice(&self.ahead[..passed]);
            self.ahead.drain(..passed);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let came = &buf.filled()[before..];
        let first = came.first().copied().filter(|_| matches!(self.connection.phase(), Phase::New(_)));
        if !self.connection.is_secure() && first.is_some_and(first_byte::is_tls) {
            buf.set_filled(before);
            self.end(&Error::TlsToPlain);
            return Poll::Ready(Ok(()));
        }
        let passed = self.connection.pass(came);
        self.ahead.extend_from_slice(&came[passed..]);
        buf.set_filled(before + passed);
        Poll::Ready(Ok(()))
    }

    /// Begins the end of the connection, with an answer unless the last one has been given already.
    pub fn end(&mut self, error: &Error) {
        self.ending = Some(match self.connection.phase() {
            Phase::Closing(_) => Ending::Answer(Vec::new(), 0),
            _ => Ending::Answer((self.refuse)(error, self.peer), 0),
        });
        self.connection.answered(true, false);
        self.tick.as_mut().reset(Instant::now() + self.deadlines.write);
    }

    /// Runs the end of the connection: send, close that half, read until the client closes too.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.ending {
                None | Some(Ending::Over) => return Poll::Ready(Ok(())),
                Some(Ending::Answer(answer, sent)) if *sent < answer.len() => {
                    match Pin::new(&mut self.io).poll_write(cx, &answer[*sent..])? {
                        Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        Poll::Ready(more) => *sent += more,
                        Poll::Pending => {
                            ready!(self.tick.as_mut().poll(cx));
                            self.ending = Some(Ending::Over);
                        }
                    }
                }
                Some(Ending::Answer(..)) => {
                    ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
                    self.tick.as_mut().reset(Instant::now() + LINGER);
                    self.ending = Some(Ending::Linger);
                }
                Some(Ending::Linger) => {
                    let mut space = [0; 4096];
                    let mut rest = ReadBuf::new(&mut space);
                    let over = match Pin::new(&mut self.io).poll_read(cx, &mut rest) {
                        Poll::Ready(Ok(())) => rest.filled().is_empty() || self.tick.as_mut().poll(cx).is_ready(),
                        Poll::Ready(Err(_)) => true,
                        Poll::Pending => {
                            ready!(self.tick.as_mut().poll(cx));
                            true
                        }
                    };
                    if over {
                        self.ending = Some(Ending::Over);
                    }
                }
            }
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ending.is_some() {
            return Poll::Ready(Ok(()));
        }
        if let Poll::Ready(result) = this.poll_request(cx, buf) {
            return Poll::Ready(result);
        }
        // No bytes without an error is the end of the stream: the parser starts to close, and asks poll_shutdown.
        match this.poll_overdue(cx) {
            None => Poll::Pending,
            Some(Overdue::Silence) => Poll::Ready(Ok(())),
            Some(Overdue::Head) => {
                this.end(&Error::RequestTimeout);
                Poll::Ready(Ok(()))
            }
            Some(Overdue::Write) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let ours = if this.ending.is_some() {
            0
        } else {
            match refusal(buf) {
                None => buf.len(),
                Some((0, status)) => {
                    this.end(&error_of(status, this.connection.line_length()));
                    0
                }
                Some((answers_before, _)) => answers_before,
            }
        };
        if ours == 0 && !buf.is_empty() {
            // The parser waits for its refusal to be written, so it does not drop the stream before the end is over.
            ready!(this.poll_ending(cx))?;
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut this.io).poll_write(cx, &buf[..ours]);
        this.watch(written, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.watch(flushed, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_ending(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}
