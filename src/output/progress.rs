//! How far long work is: on a terminal a line that changes, else a line now and then. On standard error.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::base::locale::t;

/// How often a terminal's line changes, and how often another line comes where there is no terminal.
const TERMINAL: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(30);

/// What takes a terminal's line away.
const ANEW: &str = "\r\x1b[K";

/// Work of so many steps.
pub struct Progress {
    what: Cow<'static, str>,
    total: AtomicUsize,
    done: AtomicUsize,
    begun: Instant,
    said: Mutex<Instant>,
    terminal: bool,
}

impl Progress {
    /// Begins. `what` is the work's past participle.
    pub fn new(what: impl Into<Cow<'static, str>>, total: usize) -> Self {
        let begun = Instant::now();
        // A terminal that is not said to be able to (Emacs' shell, a line printer) is written to line by line.
        let able = std::env::var("TERM").is_ok_and(|kind| !kind.is_empty() && kind != "dumb");
        let terminal = able && io::stderr().is_terminal();
        Self { what: what.into(), total: total.into(), done: AtomicUsize::new(0), begun, said: Mutex::new(begun), terminal }
    }

    /// So many more steps are done.
    pub fn more(&self, steps: usize) {
        self.done.fetch_add(steps, Ordering::Relaxed);
        self.tell();
    }

    /// So many steps are done, of so many: for whoever learns the whole on the way.
    pub fn at(&self, done: u64, total: u64) {
        self.total.store(usize::try_from(total).unwrap_or(usize::MAX), Ordering::Relaxed);
        self.done.store(usize::try_from(done).unwrap_or(usize::MAX), Ordering::Relaxed);
        self.tell();
    }

    fn tell(&self) {
        let every = if self.terminal { TERMINAL } else { ELSEWHERE };
        // Whoever finds it taken has nothing new to say.
        let Some(mut said) = self.said.try_lock() else { return };
        if said.elapsed() < every {
            return;
        }
        *said = Instant::now();
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        let line = line(&self.what, done, total, self.begun.elapsed());
        let (before, after) = if self.terminal { (ANEW, "") } else { ("", "\n") };
        let _ = write!(io::stderr().lock(), "{before}{line}{after}");
    }

    /// It has ended: takes a terminal's line away, and gives how many were done.
    pub fn end(&self) -> usize {
        if self.terminal && *self.said.lock() != self.begun {
            let _ = write!(io::stderr().lock(), "{ANEW}");
        }
        self.done.load(Ordering::Relaxed)
    }
}

/// `imported 120 of 10000, 40 a second, 4 min 7 s left`
fn line(what: &str, done: usize, total: usize, spent: Duration) -> String {
    let rate = done as f64 / spent.as_secs_f64().max(0.001);
    let left = (total.saturating_sub(done) as f64 / rate.max(0.001)).round();
    let (minutes, seconds) = ((left / 60.0).floor(), left % 60.0);
    let left = match minutes > 0.0 {
        true => t!("%{minutes} min %{seconds} s", minutes = minutes, seconds = seconds),
        false => t!("%{seconds} s", seconds = seconds),
    };
    let rate = format!("{rate:.0}");
    let line = t!(
        "%{what} %{done} of %{total}, %{rate} a second, %{left} left",
        what = what,
        done = done,
        total = total,
        rate = rate,
        left = left
    );
    line.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(line("imported", 120, 10_000, Duration::from_secs(3)), "imported 120 of 10000, 40 a second, 4 min 7 s left");
        assert_eq!(line("imported", 9, 10, Duration::from_secs(9)), "imported 9 of 10, 1 a second, 1 s left");
    }
}
