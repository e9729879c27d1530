//! What systemd is told of this process, where systemd started it (sd_notify(3)).
//!
//! Owns: the words. Must not know: what they are about. Called by: app, remote (the agent). Nothing happens where no $NOTIFY_SOCKET is set.

use std::time::Duration;

use sd_notify::NotifyState;

/// How much longer a start may take, each time it says that it waits.
const LONGER: Duration = Duration::from_secs(30);

fn say(states: &[NotifyState<'_>]) {
    // Who is not there to listen is not told.
    let _ = sd_notify::notify(states);
}

/// It serves.
pub fn ready() {
    say(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// It waits at its start, and will go on doing so.
pub fn waiting(reason: &str) {
    let more = u32::try_from(LONGER.as_micros()).unwrap_or(u32::MAX);
    say(&[NotifyState::ExtendTimeoutUsec(more), NotifyState::Status(reason)]);
}

/// It lives, and this is how it is.
pub fn alive(status: &str) {
    say(&[NotifyState::Watchdog, NotifyState::Status(status)]);
}

/// How it is, where no watchdog waits for that.
pub fn status(status: &str) {
    say(&[NotifyState::Status(status)]);
}

/// It ends.
pub fn stopping() {
    say(&[NotifyState::Stopping]);
}

/// How often it should say that it lives: half of what the watchdog allows.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|allowed| allowed / 2)
}
