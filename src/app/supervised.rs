//! What whoever supervises the process (systemd) hears while it serves.
//!
//! Owns: the thread that says so. The watchdog hears nothing when asking the parts hangs; that a part is away is no reason to be
//! restarted, since the service comes back by itself. Called by: app.

use std::sync::Weak;
use std::time::Duration;

use crate::app::front::Front;
use crate::http::Service;
use crate::process::notify;

/// Between two words where no watchdog asks for more.
const RESTART_EVERY: Duration = Duration::from_secs(10);

/// Says that it serves, and goes on saying how it is until the front is gone.
pub(super) fn start(front: Weak<Front>) -> std::io::Result<()> {
    let every = notify::watchdog().map_or(RESTART_EVERY, |asked| asked.min(RESTART_EVERY));
    notify::ready();
    let tell = move || {
        while let Some(front) = front.upgrade() {
            let readiness = front.readiness();
            drop(front);
            let parts = [("token", readiness.token), ("database", readiness.database), ("audit", readiness.audit)];
            let away: Vec<String> =
                parts.into_iter().filter_map(|(name, state)| Some(format!("{name}: {}", state.err()?))).collect();
            notify::alive(&if away.is_empty() { "serving".to_owned() } else { format!("not ready: {}", away.join("; ")) });
            std::thread::sleep(every);
        }
    };
    std::thread::Builder::new().name("bulla-notify".into()).spawn(tell).map(drop)
}
