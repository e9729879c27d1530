//! The way of log lines to standard error, which nobody may read: a full pipe, a stopped pager, a hung container driver.
//!
//! Owns: the lines that wait and the one thread that writes them. Must not know: what they say. Called by: the logger, app (figures),
//! whoever ends the process.
//!
//! Whoever logs only puts a line into a bounded queue and never waits. When the queue is full, the line is dropped and counted;
//! what must not be lost is in the audit log.

use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Bytes that wait at most: some seconds of access lines under load.
const MOST_BYTES: usize = 4 << 20;

/// How long lines are gathered behind those just written, so that under load many are one write and one wake-up. A line that comes after a
/// quiet while, and one that warns, is written at once with all before it.
const GATHER: Duration = Duration::from_millis(1);

/// How long the thread waits before it tries a full pipe again that does not block.
const RETRY: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Queue {
    lines: Vec<u8>,
    /// How many that is.
    count: u64,
    /// Bytes that are being written.
    writing: usize,
    /// They are to be written at once.
    urgent: bool,
    /// Dropped, and not yet said so.
    untold: u64,
}

#[derive(Default)]
struct Lines {
    queue: Mutex<Queue>,
    news: Condvar,
    written: Condvar,
    dropped: AtomicU64,
}

static LINES: OnceLock<Lines> = OnceLock::new();

/// Begins to write. A panic is logged as an error, in one line, since whoever panics must not wait for a reader either.
pub(super) fn start() {
    let lines = LINES.get_or_init(Lines::default);
    let writer = std::thread::Builder::new().name("bulla-log".into()).spawn(|| lines.write_out(&mut io::stderr()));
    if let Err(error) = writer {
        // Nobody can be told in another way.
        let _ = writeln!(io::stderr(), "bulla: the log cannot be started: {error}");
    }
    std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
}

/// Writes a line, some time soon, or drops it.
pub(super) fn put(line: &[u8], urgent: bool) {
    if let Some(lines) = LINES.get() {
        lines.put(line, urgent);
    }
}

/// Lines dropped since the start because the log was not read, or could not be written.
pub fn dropped() -> u64 {
    LINES.get().map_or(0, |lines| lines.dropped.load(Ordering::Relaxed))
}

/// Waits until all lines are written, but no longer than this.
pub fn flush(within: Duration) {
    let Some(lines) = LINES.get() else { return };
    let until = Instant::now() + within;
    let mut queue = lines.queue.lock();
    queue.urgent = true;
    lines.news.notify_one();
    while queue.writing > 0 || !queue.lines.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        lines.written.wait_for(&mut queue, left);
    }
}

impl Lines {
    fn put(&self, line: &[u8], urgent: bool) {
        let mut queue = self.queue.lock();
        if queue.writing + queue.lines.len() + line.len() > MOST_BYTES {
            queue.untold += 1;
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.lines.extend_from_slice(line);
        queue.count += 1;
        if queue.count == 1 || (urgent && !queue.urgent) {
            queue.urgent |= urgent;
            self.news.notify_one();
        }
    }

    fn write_out(&self, out: &mut impl Write) {
        let mut quiet_until = Instant::now();
        loop {
            let Taken { lines, count, untold } = self.take(quiet_until);
            if !write_whole(out, &lines) {
                self.dropped.fetch_add(count, Ordering::Relaxed);
            }
            quiet_until = Instant::now() + GATHER;
            let mut queue = self.queue.lock();
            queue.writing = 0;
            if queue.lines.is_empty() {
                self.written.notify_all();
            }
            drop(queue);
            if untold > 0 {
                log::warn!("{untold} lines of this log were dropped, because nobody read it in time");
            }
        }
    }

    /// The lines that wait, once there are any and it is so late.
    fn take(&self, quiet_until: Instant) -> Taken {
        let mut queue = self.queue.lock();
        loop {
            if queue.lines.is_empty() {
                self.news.wait(&mut queue);
            } else if !queue.urgent && Instant::now() < quiet_until {
                self.news.wait_until(&mut queue, quiet_until);
            } else {
                queue.writing = queue.lines.len();
                queue.urgent = false;
                let (count, untold) = (std::mem::take(&mut queue.count), std::mem::take(&mut queue.untold));
                return Taken { lines: std::mem::take(&mut queue.lines), count, untold };
            }
        }
    }
}

/// Lines to be written.
struct Taken {
    lines: Vec<u8>,
    count: u64,
    /// How many were dropped behind them.
    untold: u64,
}

/// Writes lines; false when they cannot be written, because the reader has gone or the disk is full.
fn write_whole(out: &mut impl Write, mut line: &[u8]) -> bool {
    while !line.is_empty() {
        match out.write(line) {
            Ok(0) => return false,
            Ok(count) => line = &line[count..],
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock => std::thread::sleep(RETRY),
                _ => return false,
            },
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_reads_is_dropped_and_counted_and_nobody_waits() {
        let lines = Lines::default();
        let line = vec![b'x'; 1 << 20];
        (0..6).for_each(|_| lines.put(&line, false));
        assert_eq!(lines.dropped.load(Ordering::Relaxed), 2);
        let taken = lines.take(Instant::now());
        assert_eq!(
            (taken.lines.len(), taken.count, taken.untold),
            (4 * line.len(), 4, 2),
            "said behind the last line that was kept"
        );
        lines.queue.lock().writing = 0;
        lines.put(&line, false);
        assert_eq!(lines.take(Instant::now()).lines.len(), line.len(), "there is room again");
    }

    #[test]
    fn a_line_is_written_whole_or_given_up() {
        struct Slow(Vec<u8>, u32);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 += 1;
                if self.1 == 2 {
                    return Err(ErrorKind::WouldBlock.into());
                }
                self.0.extend_from_slice(&bytes[..1]);
                Ok(1)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut slow = Slow(Vec::new(), 0);
        assert!(write_whole(&mut slow, b"line\n"));
        assert_eq!(slow.0, b"line\n");
        assert!(!write_whole(&mut &mut [0_u8; 2][..], b"line\n"), "a full disk");
    }
}
