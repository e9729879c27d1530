//! A thread that does something now and then, for as long as it is wanted.
//!
//! Owns: its rhythm, its end, and that a panic in one round ends that round only: what such threads do, nobody else does, and no request
//! would tell that one is gone. Must not know: what is done. Called by: app, jobs.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two looks whether a thread has ended.
const POLL: Duration = Duration::from_millis(5);

/// A thread that does something now and then. Dropped, it does so no more, and nobody waits for the round that is under way.
pub struct Periodic {
    name: String,
    /// Dropped to stop.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// For a round that takes long: whether it is wanted still.
pub struct Stopped(Receiver<()>);

/// When there is a round, beside one after each pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// One at once.
    FromNow,
    /// None before the first pause.
    AfterAPause,
    /// None before the first pause, and a last one when it is to stop.
    AndAtTheEnd,
}

/// The pause after work that took so long, for whoever may take this share of a core, per cent; nobody takes less than 1.
pub fn rest(worked: Duration, percent: u32) -> Duration {
    let percent = percent.clamp(1, 100);
    worked * (100 - percent) / percent
}

impl Stopped {
    /// Whether it is to stop.
    pub fn is_asked(&self) -> bool {
        self.0.try_recv() != Err(TryRecvError::Empty)
    }

    /// Waits so long; whether it is to stop, as soon as it is.
    pub fn within(&self, pause: Duration) -> bool {
        self.0.recv_timeout(pause) != Err(RecvTimeoutError::Timeout)
    }
}

impl Periodic {
    /// Begins.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        name: &str,
        rounds: Rounds,
        pause: Duration,
        mut round: impl FnMut(&Stopped) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let stopped = Stopped(stopped);
        let of = name.to_owned();
        let mut one = move |stopped: &Stopped| {
            // What it was about to change may be as it was, or changed: the next round finds out, as after an error.
            if catch_unwind(AssertUnwindSafe(|| round(stopped))).is_err() {
                log::error!("{of}: a round panicked; the next one begins anew");
            }
        };
        let run = move || {
            let mut is_over = rounds != Rounds::FromNow && stopped.within(pause);
            while !is_over {
                one(&stopped);
                is_over = stopped.within(pause);
            }
            if rounds == Rounds::AndAtTheEnd {
                one(&stopped);
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self { name: name.to_owned(), stop, thread })
    }

    /// Lets what is under way end, and nothing else begin. What does not end in time is left as a crash would leave it.
    pub fn stop(self, within: Duration) {
        Self::stop_all([self], within);
    }

    /// The same of several, which end beside each other.
    pub fn stop_all(all: impl IntoIterator<Item = Self>, within: Duration) {
        let until = Instant::now() + within;
        // All are told before any is waited for.
        let told: Vec<_> = all.into_iter().map(|Self { name, stop, thread }| (name, drop(stop), thread)).collect();
        for (name, (), thread) in told {
            while !thread.is_finished() && Instant::now() < until {
                thread::sleep(POLL);
            }
            if !thread.is_finished() {
                log::warn!("{name} is still at work");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(1);

    #[test]
    fn a_panic_ends_its_round_only() {
        let (say, hear) = channel();
        let mut round = 0;
        let periodic = Periodic::start("test", Rounds::FromNow, SHORT, move |_| {
            round += 1;
            say.send(round).expect("awaited");
            assert!(round % 2 == 0, "meant");
        });
        let heard: Vec<_> = (0..4).map(|_| hear.recv_timeout(PATIENCE).expect("it goes on")).collect();
        assert_eq!(heard, [1, 2, 3, 4]);
        periodic.expect("a thread").stop(PATIENCE);
        // Its thread has ended, and what it held is gone: nothing keeps this waiting.
        hear.iter().for_each(drop);
    }

    #[test]
    fn it_stops_in_its_pause_with_a_last_round_where_one_is_wanted() {
        for (rounds, wanted) in [(Rounds::FromNow, 1), (Rounds::AfterAPause, 0), (Rounds::AndAtTheEnd, 1)] {
            let (say, hear) = channel();
            let periodic = Periodic::start("test", rounds, Duration::from_secs(3600), move |_| say.send(()).expect("awaited"));
            let periodic = periodic.expect("a thread");
            if rounds == Rounds::FromNow {
                hear.recv_timeout(PATIENCE).expect("at once");
            }
            let begun = Instant::now();
            periodic.stop(PATIENCE);
            assert!(begun.elapsed() < PATIENCE, "{rounds:?}: it did not wait for the pause");
            let had = usize::from(rounds == Rounds::FromNow);
            assert_eq!(had + hear.iter().count(), wanted, "{rounds:?}");
        }
    }

    #[test]
    fn a_round_hears_that_it_is_to_stop_and_one_that_does_not_is_left() {
        let (say, hear) = channel();
        let (release, hang) = channel::<()>();
        let hears = Periodic::start("test", Rounds::FromNow, SHORT, move |stopped| {
            assert!(!stopped.is_asked());
            say.send(()).expect("awaited");
            assert!(stopped.within(PATIENCE) && stopped.is_asked());
        });
        let hangs = Periodic::start("test", Rounds::FromNow, SHORT, move |_| _ = hang.recv());
        hear.recv_timeout(PATIENCE).expect("it runs");
        let begun = Instant::now();
        Periodic::stop_all([hears.expect("a thread"), hangs.expect("a thread")], Duration::from_millis(50));
        assert!(begun.elapsed() < PATIENCE);
        hear.recv_timeout(PATIENCE).expect_err("its thread has ended");
        drop(release);
    }
}
