//! The PIN over a socket on this host: a server that waits for one, or was refused one, is given it by `bulla unlock`, so that it need
//! not lie on disk.
//!
//! Owns: the socket, who may use it, and the two lines that are said there. Must not know: what is done with the PIN. Called by: app
//! (the server's side), admin (the command's side).
//!
//! ```text
//! client   the PIN, a line feed
//! server   `ok`, that it is logged in already, or why not (`not presented: ` before it where the token was not asked); a line feed
//! ```
//!
//! Only the user that the server runs as, and root, are listened to; the file is theirs alone.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::base::failure::{Class, Failure};
use crate::base::secret::Pin;
use crate::base::socket::Place;
use crate::token::{Offer, Pins, TokenError};

/// Longest line, bytes.
const MAX_PIN_BYTES: u64 = 1024;

/// How long a client may take to say its line, and the server to log in with it.
const WAIT: Duration = Duration::from_secs(10);

/// What a server says that is logged in: nothing was done with the PIN.
const NOT_NEEDED: &str = "already logged in; nothing kept";

/// What a server's line begins with that could not present what it was given: no try was used up.
const NOT_PRESENTED: &str = "not presented: ";

/// Between a failure and the next one who asks.
const REST: Duration = Duration::from_millis(100);

/// How long the login may take.
const LOGIN_WAIT: Duration = Duration::from_secs(60);

/// Listens, on a thread of its own, as long as the process lives.
///
/// # Errors
/// When the socket cannot be made.
pub(super) fn listen(path: &Path, pins: Pins) -> Result<(), Failure> {
    let failed = |e: io::Error| named(path, &e);
    free(path, Place::cleared(path).map_err(failed)?)?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let serve = move || {
        for stream in listener.incoming() {
            if let Err(error) = stream.and_then(|stream| answer(stream, &pins)) {
                log::warn!("unlock: {error}");
                // Where no file is to be had, that passes.
                std::thread::sleep(REST);
            }
        }
    };
    std::thread::Builder::new().name("bulla-unlock".into()).spawn(serve).map(drop).map_err(failed)
}

/// Whether a server could listen there, of which nothing is touched. Who does not start one takes who serves there for the one that runs.
///
/// # Errors
/// When it could not, and why.
pub(super) fn check(path: &Path, starts: bool) -> Result<(), Failure> {
    let failed = |e: io::Error| named(path, &e);
    match Place::of(path).map_err(failed)? {
        Place::Served if !starts => return Ok(()),
        place => free(path, place)?,
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    tempfile::tempfile_in(folder).map(drop).map_err(failed)
}

/// That nothing is in the way; a server that lives there would be listened to no more, and is found by its file.
fn free(path: &Path, place: Place) -> Result<(), Failure> {
    match place {
        Place::Free | Place::Left => Ok(()),
        Place::Served => {
            let failure = Failure::conflict(format!("token.unlock_socket {}: another server listens there", path.display()));
            Err(failure.hint("end that one, or name another file for this"))
        }
        Place::Other => {
            let failure = Failure::local(format!("token.unlock_socket {}: there is something else", path.display()));
            Err(failure.hint("name a file that is not there; the server makes it"))
        }
    }
}

fn named(path: &Path, error: &io::Error) -> Failure {
    Failure::local(format!("token.unlock_socket {}: {error}", path.display())).hint_of_file(path, error.kind())
}

fn answer(mut stream: UnixStream, pins: &Pins) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(&stream)?.uid;
    if !peer.is_root() && peer != rustix::process::geteuid() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("user {} is not listened to", peer.as_raw())));
    }
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    let mut line = match read_line(&stream) {
        Err(half) if half.kind() == io::ErrorKind::InvalidData => return writeln!(stream, "{NOT_PRESENTED}{half}"),
        line => line?,
    };
    let pin = match Pin::of_text(std::mem::take(&mut *line)) {
        Ok(pin) => pin,
        Err(why) => return writeln!(stream, "{NOT_PRESENTED}the PIN {why}; the token was not asked"),
    };
    log::info!("unlock: user {} gives a PIN", peer.as_raw());
    pins.offer(pin, LOGIN_WAIT, |told| match told {
        Ok(Offer::LoggedIn) => writeln!(stream, "ok"),
        Ok(Offer::NotNeeded) => writeln!(stream, "{NOT_NEEDED}"),
        Err(TokenError::Gone) => writeln!(stream, "the token did not answer; the PIN is kept and presented when it does"),
        Err(error @ (TokenError::NoPin(_) | TokenError::Setting(_))) => writeln!(stream, "{NOT_PRESENTED}{error}"),
        Err(error) => writeln!(stream, "{error}"),
    })
}

/// Gives a server its PIN; what it did with it.
///
/// # Errors
/// When no server listens, or it was not let in.
pub fn give(path: &Path, pin: &Pin) -> Result<Offer, Failure> {
    let failed = |e: io::Error| {
        let failure = Failure::unavailable(format!("no server listens at {}: {e}", path.display()));
        failure.hint("start it: it listens there from its start on, with this configuration")
    };
    let mut stream = UnixStream::connect(path).map_err(failed)?;
    stream.set_read_timeout(Some(LOGIN_WAIT + WAIT)).map_err(failed)?;
    let line = Zeroizing::new(format!("{}\n", pin.expose()));
    stream.write_all(line.as_bytes()).map_err(failed)?;
    match read_line(&stream).map_err(failed)?.as_str() {
        "ok" => Ok(Offer::LoggedIn),
        NOT_NEEDED => Ok(Offer::NotNeeded),
        "" => {
            let failure = Failure::new("the server did not listen to this user").class(Class::Denied);
            Err(failure.hint("run the command as root, or as the user that serves"))
        }
        said => Err(match said.strip_prefix(NOT_PRESENTED) {
            Some(why) => Failure::local(format!("token: {why}")),
            None => Failure::new(format!("token: {said}")).class(Class::Pin),
        }),
    }
}

fn read_line(stream: &UnixStream) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(MAX_PIN_BYTES as usize));
    let bytes = BufReader::new(stream.take(MAX_PIN_BYTES)).read_line(&mut line)?;
    if bytes > 0 && !line.ends_with('\n') {
        // Half of what somebody has to say is not what they say.
        let why = format!("the line does not end within {MAX_PIN_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}
