//! What the first byte of a connection tells: whether its client speaks TLS or plain HTTP. Whoever speaks the other one than the
//! listener is told so, in the log too: the client's own error ("wrong version number", "HTTP/0.9") names neither.
//!
//! Owns: that look, and that the log says it once a minute at most. Must not know: requests. Called by: http, deadlines, handler.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use actix_web::rt::net::TcpStream;
use parking_lot::Mutex;

use crate::error::Error;

/// Between two lines in the log.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The record type of a TLS handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Whether a client that begins so shakes hands for TLS.
pub(super) fn is_tls(first: u8) -> bool {
    first == TLS_HANDSHAKE
}

/// Whether a client speaks plain HTTP: methods are words, and no TLS record begins with a letter. Waits for the first byte.
///
/// # Errors
/// Of the system.
pub(super) async fn speaks_http(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(stream.peek(&mut first).await? == 1 && first[0].is_ascii_alphabetic())
}

/// When the log was told last.
#[derive(Default)]
pub(super) struct Told(Mutex<Option<Instant>>);

impl Told {
    /// Tells the log of a client that speaks the other protocol, where it is time to.
    pub(super) fn tell(&self, error: &Error, peer: Option<SocketAddr>) {
        let what = match error {
            Error::TlsToPlain => "a TLS handshake on the plain HTTP listener: the client uses https",
            Error::PlainToTls => "plain HTTP on the TLS listener: the client uses http",
            _ => return,
        };
        // A panic leaves one time or the other.
        let mut last = self.0.lock();
        if last.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            return;
        }
        *last = Some(Instant::now());
        match peer {
            Some(peer) => log::warn!("listen: {what}, from {}", peer.ip().to_canonical()),
            None => log::warn!("listen: {what}"),
        }
    }
}
