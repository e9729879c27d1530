//! How far long work is: on a terminal a line that changes, else a line now and then. On standard error, or in the log of a server.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::base::locale::t;

/// How often a terminal's line changes, and how often another line comes where there is no terminal.
const TERMINAL: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(30);

/// What takes a terminal's line away.
const ANEW: &str = "\r\x1b[K";

/// Whether nothing is told, as with --json: what else is on standard error is JSON.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Tells nothing from now on.
pub fn silence() {
    SILENT.store(true, Ordering::Relaxed);
}

/// Work of so many steps.
pub struct Progress {
    what: Cow<'static, str>,
    total: AtomicUsize,
    done: AtomicUsize,
    begun: Instant,
    said: Mutex<Instant>,
    way: Way,
    /// Whether a terminal's line stands there.
    stands: AtomicBool,
}

/// Where it is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Terminal,
    Lines,
    /// Nowhere: a program reads what there is.
    Nowhere,
    #[cfg(feature = "server")]
    Log,
}

impl Progress {
    /// Begins. `what` is the work's past participle.
    pub fn new(what: impl Into<Cow<'static, str>>, total: usize) -> Self {
        // A terminal that is not said to be able to (Emacs' shell, a line printer) is written to line by line.
        let able = std::env::var("TERM").is_ok_and(|kind| !kind.is_empty() && kind != "dumb");
        let way = match () {
            () if SILENT.load(Ordering::Relaxed) => Way::Nowhere,
            () if able && io::stderr().is_terminal() => Way::Terminal,
            () => Way::Lines,
        };
        Self::told(what.into(), total, way)
    }

    /// The same of a process that serves: its log is on standard error, in a form of its own.
    #[cfg(feature = "server")]
    pub fn logged(what: &'static str, total: usize) -> Self {
        Self::told(what.into(), total, Way::Log)
    }

    fn told(what: Cow<'static, str>, total: usize, way: Way) -> Self {
        let begun = Instant::now();
        Self {
            what,
            total: total.into(),
            done: AtomicUsize::new(0),
            begun,
            said: Mutex::new(begun),
            way,
            stands: AtomicBool::new(false),
        }
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
        let every = if self.way == Way::Terminal { TERMINAL } else { ELSEWHERE };
        // Whoever finds it taken has nothing new to say.
        let Some(mut said) = self.said.try_lock() else { return };
        if said.elapsed() < every {
            return;
        }
        *said = Instant::now();
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        let line = line(&self.what, done, total, self.begun.elapsed());
        let (before, after) = match self.way {
            Way::Terminal => (ANEW, ""),
            Way::Lines => ("", "\n"),
            Way::Nowhere => return,
            #[cfg(feature = "server")]
            Way::Log => return log::info!("{line}"),
        };
        let _ = write!(io::stderr().lock(), "{before}{line}{after}");
        self.stands.store(self.way == Way::Terminal, Ordering::Relaxed);
    }

    /// Something else is printed: takes a terminal's line away until there is more to tell.
    pub fn aside(&self) {
        if self.stands.swap(false, Ordering::Relaxed) {
            let _ = write!(io::stderr().lock(), "{ANEW}");
        }
    }

    /// It has ended: takes a terminal's line away, and gives how many were done.
    pub fn end(&self) -> usize {
        self.aside();
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
