//! What is read again on SIGHUP.
//!
//! Owns: the list, that one part that fails keeps no other from its turn, and the thread on which all of it happens, so that a file system
//! that hangs keeps no signal from being heard. Must not know: what the parts read. Called by: app.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::sync_channel;

/// The log's target of these lines, which no limit on lines holds back: each answers somebody who asked.
pub(super) const TARGET: &str = "bulla::reload";

type Source<C> = Box<dyn Fn() -> Result<C, String> + Send>;
type Part<C> = Box<dyn Fn(&Result<C, String>) -> Result<(), String> + Send>;

/// Parts that can read their settings or secrets again while the service runs. What does not fit is refused by its part, which then
/// goes on with what it had. `C` is the configuration: it is read once for all, so that no two parts have different ones.
pub(super) struct Reload<C> {
    source: Source<C>,
    parts: Vec<(&'static str, Part<C>)>,
}

impl<C: 'static> Reload<C> {
    /// Nothing yet; the configuration is read so.
    pub(super) fn of<E: Display>(source: impl Fn() -> Result<C, E> + Send + 'static) -> Self {
        Self { source: Box::new(move || source().map_err(|e| e.to_string())), parts: Vec::new() }
    }

    /// With one more part, by the name that the log calls it, which needs no configuration.
    pub(super) fn with<E: Display>(mut self, name: &'static str, again: impl Fn() -> Result<(), E> + Send + 'static) -> Self {
        self.parts.push((name, Box::new(move |_| again().map_err(|e| e.to_string()))));
        self
    }

    /// With one more part that takes its settings from the configuration.
    pub(super) fn with_settings<E: Display>(
        mut self,
        name: &'static str,
        again: impl Fn(&C) -> Result<(), E> + Send + 'static,
    ) -> Self {
        let part = move |config: &Result<C, String>| {
            config.as_ref().map_err(Clone::clone).and_then(|c| again(c).map_err(|e| e.to_string()))
        };
        self.parts.push((name, Box::new(part)));
        self
    }

    /// What has each part read again, and waits for none. Asked while that is under way, they begin once more behind it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(self) -> std::io::Result<impl Fn() + Send> {
        let (ask, asked) = sync_channel::<()>(1);
        let work = move || asked.iter().for_each(|()| self.run());
        std::thread::Builder::new().name("bulla-reload".into()).spawn(work)?;
        Ok(move || {
            // Full: it is to begin once more already.
            _ = ask.try_send(());
        })
    }

    /// Lets each part read again.
    fn run(&self) {
        let config = caught(&self.source);
        for (name, again) in &self.parts {
            match caught(|| again(&config)) {
                Ok(()) => log::info!(target: TARGET, "{name}: read again"),
                Err(error) => log::error!(target: TARGET, "{name}: cannot be read again, goes on with what it had: {error}"),
            }
        }
    }
}

/// What this gives. Where it panics, it is the next time that it may read again.
fn caught<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("it panicked".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_part_that_hangs_keeps_nobody_who_asks() {
        let (go, gone) = channel::<()>();
        let (begin, begun) = channel();
        let (tell, told) = channel();
        let hangs = move || begin.send(()).map_err(|e| e.to_string()).and_then(|()| gone.recv().map_err(|e| e.to_string()));
        let nothing = || Ok::<_, String>(());
        let ask =
            Reload::of(nothing).with("hangs", hangs).with_settings("next", move |()| tell.send(())).start().expect("a thread");
        let soon = Duration::from_secs(20);
        ask();
        begun.recv_timeout(soon).expect("it begins");
        (0..100).for_each(|_| ask());
        assert!(told.try_recv().is_err());
        // It was asked again while it was at work: once more for all.
        for _ in 0..2 {
            go.send(()).expect("it waits");
            told.recv_timeout(soon).expect("the parts behind it have their turn");
        }
        assert!(begun.recv_timeout(soon).is_ok() && begun.recv_timeout(Duration::from_millis(50)).is_err());
    }
}
