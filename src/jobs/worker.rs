//! Threads that do something now and then.
//!
//! Owns: starting them, and stopping them between two rounds. Must not know: what they do. Called by: jobs; app, which stops them.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::Error;

/// Jobs on their threads.
pub struct Running(Vec<Worker>);

/// A thread that does something now and then.
pub(super) struct Worker {
    /// Dropped to stop.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Begins to run rounds, with a pause after each.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        name: &'static str,
        every: Duration,
        round: impl Fn(&Receiver<()>) -> Result<(), Error> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let run = move || {
            loop {
                if let Err(error) = round(&stopped) {
                    log::warn!("{name}: {error:?}; the next round tries again");
                }
                if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run)?;
        Ok(Self { stop, thread })
    }
}

impl Running {
    /// These threads.
    pub(super) fn of(workers: Vec<Worker>) -> Self {
        Self(workers)
    }

    /// Lets what is under way end, and nothing else begin. What does not end in time, because token or database do not answer, is
    /// left as a crash would leave it.
    pub fn stop(self, within: Duration) {
        let until = Instant::now() + within;
        // All are told before any is waited for.
        let told: Vec<_> = self.0.into_iter().map(|Worker { stop, thread }| (drop(stop), thread)).collect();
        for ((), thread) in told {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            if !thread.is_finished() {
                log::warn!("a job is still at work");
            } else if thread.join().is_err() {
                log::error!("a thread of the jobs panicked");
            }
        }
    }
}
