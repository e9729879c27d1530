//! What is read again on SIGHUP.
//!
//! Owns: the list, and that one part that fails keeps no other from its turn. Must not know: what the parts read. Called by: app.

use std::fmt::Display;

type Part = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Parts that can read their settings or secrets again while the service runs. What does not fit is refused by its part, which then
/// goes on with what it had.
#[derive(Default)]
pub(super) struct Reload(Vec<(&'static str, Part)>);

impl Reload {
    /// With one more part, by the name that the log calls it.
    pub(super) fn with<E: Display>(
        mut self,
        name: &'static str,
        again: impl Fn() -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        self.0.push((name, Box::new(move || again().map_err(|e| e.to_string()))));
        self
    }

    /// Lets each part read again.
    pub(super) fn run(&self) {
        for (name, again) in &self.0 {
            match again() {
                Ok(()) => log::info!("{name}: read again"),
                Err(error) => log::error!("{name}: cannot be read again, goes on with what it had: {error}"),
            }
        }
    }
}
