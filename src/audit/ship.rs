//! Lines of a log, sent on to syslog or a Unix socket as they come.
//!
//! Owns: following the files, and how far they were sent (`<dir>/<name>.shipped`, the number of the next line). Must not know: who
//! writes them. Called by: app.
//!
//! What is sent is read from the files, so a receiver that is slow, full or away costs the service nothing: lines wait on the disk, and
//! are sent when it is back. A line is sent at least once; its number and the chain tell a receiver what it has already. A line that a
//! failing disk took back before it was durable may have been sent: its request was refused.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;

use super::chain::Head;
use super::lines::{Next, next_line, skip_line};
use super::{file, log_files};
use crate::base::periodic::{Periodic, Rounds};
use crate::base::regular;

/// Between two looks at a file that has not grown.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Between two attempts to reach a receiver.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// The longest that a receiver may keep a line waiting.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Lines between two notes of how far it is.
const NOTE_EVERY: u64 = 1000;

/// Facility 13 (log audit), severity 5 (notice), RFC 5424.
const PRIORITY: u8 = 13 * 8 + 5;

/// Where the local syslog listens.
const DEV_LOG: &str = "/dev/log";

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Receiver {
    /// A syslog that listens there for datagrams, a line each.
    Syslog(PathBuf),
    /// A stream socket, a line of JSON each.
    Socket(PathBuf),
}

impl FromStr for Receiver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("unix:")) {
            ("syslog", _) => Ok(Receiver::Syslog(DEV_LOG.into())),
            (_, Some(path)) if path.starts_with('/') => Ok(Receiver::Socket(path.into())),
            _ => Err(format!("{text:?} is neither \"syslog\" nor \"unix:/PATH\"")),
        }
    }
}

impl TryFrom<String> for Receiver {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Sends a log's lines on, until what it answers is dropped. Those that are too long for a datagram are passed over and counted.
///
/// # Errors
/// Of the system, when the thread cannot be made.
pub fn ship(dir: &Path, name: &str, to: Receiver, too_long: &Arc<AtomicU64>) -> io::Result<Periodic> {
    let (dir, name, too_long) = (dir.to_owned(), name.to_owned(), Arc::clone(too_long));
    let mut shipment = Shipment { dir, name, to, line: None, file: None, left: 0, next: 1, noted: 0, too_long };
    shipment.next = regular::read_text(&shipment.note()).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1);
    shipment.noted = shipment.next;
    let mut away = false;
    Periodic::start("bulla-ship", Rounds::FromNow, LOOK_EVERY, move |stopped| {
        let sent = shipment.pass();
        match sent {
            Ok(()) => {
                if std::mem::take(&mut away) {
                    log::info!("audit log {}: lines are sent on again", shipment.name);
                }
                shipment.write_note();
            }
            Err(error) => {
                (shipment.line, shipment.file) = (None, None);
                if !std::mem::replace(&mut away, true) {
                    log::warn!("audit log {}: lines cannot be sent on and wait: {error}", shipment.name);
                }
                stopped.within(RETRY_EVERY);
            }
        }
    })
}

struct Shipment {
    dir: PathBuf,
    name: String,
    to: Receiver,
    line: Option<Line>,
    file: Option<Followed>,
    /// Number of the first line of the file that was left last: what was not sent of that is not there.
    left: u64,
    /// Number of the next line to send.
    next: u64,
    /// What the note says.
    noted: u64,
    too_long: Arc<AtomicU64>,
}

/// The file that is read.
struct Followed {
    reader: BufReader<File>,
    /// Number of its first line.
    first: u64,
    /// Whether lines go into another file by now, so that its end, when it is reached once more, is its last.
    past: bool,
    /// Whether more than a line can be is passed over.
    skipping: bool,
}

/// What has become of a file whose end was reached.
enum Fate {
    Present,
    Past,
    /// It is shorter than what was read of it.
    Cut,
}

/// The way to the receiver.
enum Line {
    Datagrams(UnixDatagram),
    Stream(UnixStream),
}

impl Followed {
    fn fate(&mut self, present: &Path) -> io::Result<Fate> {
        let here = self.reader.get_ref().metadata()?;
        let is_present = match fs::metadata(present) {
            Ok(present) => present.ino() == here.ino(),
            Err(e) if e.kind() == ErrorKind::NotFound => true,
            Err(e) => return Err(e),
        };
        Ok(match here.len() < self.reader.stream_position()? {
            true if is_present => Fate::Cut,
            _ if is_present => Fate::Present,
            _ => Fate::Past,
        })
    }
}

impl Shipment {
    fn note(&self) -> PathBuf {
        self.dir.join(format!("{}.shipped", self.name))
    }

    /// Sends what there is.
    fn pass(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        loop {
            let Some(followed) = &mut self.file else {
                self.file = self.find()?;
                if self.file.is_none() {
                    return Ok(());
                }
                continue;
            };
            let reader = &mut followed.reader;
            if followed.skipping {
                text.clear();
                followed.skipping = !skip_line(reader)?;
            }
            let next = if followed.skipping { Next::End } else { next_line(reader, &mut text)? };
            match next {
                Next::Line => {}
                Next::TooLong => {
                    followed.skipping = true;
                    continue;
                }
                Next::End if followed.past => {
                    // A line that has no end by now never gets one.
                    self.left = followed.first;
                    self.file = None;
                    continue;
                }
                Next::End => {
                    reader.seek_relative(-i64::try_from(text.len()).unwrap_or(0))?;
                    match followed.fate(&file::present(&self.dir, &self.name))? {
                        Fate::Present => return Ok(()),
                        // What was written to it before it was left is read first.
                        Fate::Past => followed.past = true,
                        Fate::Cut => self.file = None,
                    }
                    continue;
                }
            }
            let Some(head) = Head::parse(&text) else { continue };
            if head.seq >= self.next {
                let seq = head.seq;
                self.send(&text)?;
                self.next = seq + 1;
                if self.next - self.noted >= NOTE_EVERY {
                    self.write_note();
                }
            }
        }
    }

    /// The file with the next line, or the first that is there behind the one that was left.
    fn find(&self) -> io::Result<Option<Followed>> {
        let mut found = None;
        for path in log_files(&self.dir, &self.name)? {
            let Ok(open) = regular::open_itself(&path) else { continue };
            let (mut reader, mut text) = (BufReader::new(open), Vec::new());
            if next_line(&mut reader, &mut text)? == Next::TooLong {
                continue;
            }
            let Some(first) = Head::parse(&text).map(|head| head.seq).filter(|first| *first > self.left) else { continue };
            if found.is_none() || first <= self.next {
                reader.rewind()?;
                found = Some(Followed { reader, first, past: false, skipping: false });
            }
        }
        Ok(found)
    }

    fn send(&mut self, text: &[u8]) -> io::Result<()> {
        if self.line.is_none() {
            self.line = Some(self.connect()?);
        }
        match &mut self.line {
            Some(Line::Datagrams(socket)) => {
                let mut message = format!("<{PRIORITY}>bulla-{}: ", self.name).into_bytes();
                message.extend_from_slice(text);
                match socket.send(&message) {
                    // A syslog that takes no datagram so long never will; the file has it.
                    Err(e) if e.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => {
                        self.too_long.fetch_add(1, Ordering::Relaxed);
                        log::warn!("audit log {}: a line of {} bytes is too long for syslog", self.name, text.len());
                        Ok(())
                    }
                    other => other.map(drop),
                }
            }
            Some(Line::Stream(socket)) => socket.write_all(&[text, b"\n"].concat()),
            None => Ok(()),
        }
    }

    fn connect(&self) -> io::Result<Line> {
        Ok(match &self.to {
            Receiver::Syslog(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(SEND_TIMEOUT))?;
                Line::Datagrams(socket)
            }
            Receiver::Socket(path) => {
                let socket = UnixStream::connect(path)?;
                socket.set_write_timeout(Some(SEND_TIMEOUT))?;
                Line::Stream(socket)
            }
        })
    }

    /// Notes how far it is; what is lost of that is sent twice.
    fn write_note(&mut self) {
        if self.noted == self.next {
            return;
        }
        let draft = self.dir.join(format!("{}.shipped.new", self.name));
        if fs::write(&draft, format!("{}\n", self.next)).and_then(|()| fs::rename(&draft, self.note())).is_ok() {
            self.noted = self.next;
        }
    }
}
