//! What a signal must not leave behind: a terminal that shows nothing, a value in a file. It is undone before the signal ends the process.
//!
//! Owns: the handlers of SIGTERM, SIGINT, SIGHUP, SIGQUIT and SIGTSTP from the first such work on, unless a server has its own. Must not
//! know: what is undone. Called by: hidden, remote (its editor), process (which answers a server's signals).

use std::io;

use parking_lot::Mutex;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::signals;

/// Told which signal came, undoes; gives whether that is to do what it does by default. After a stop, told SIGCONT.
type Act = Box<dyn Fn(i32) -> bool + Send>;

/// One work at a time has something to undo: a process asks one question at a time.
static ACT: Mutex<Option<Act>> = Mutex::new(None);

/// Whether the thread that hears signals is there.
static HEARS: Mutex<bool> = Mutex::new(false);

/// Does something that leaves what a signal must not leave.
///
/// # Errors
/// Where the system takes no handler, or gives no thread; nothing was done.
pub fn guarded<T>(act: impl Fn(i32) -> bool + Send + 'static, work: impl FnOnce() -> T) -> io::Result<T> {
    /// Waits while a signal is being answered, which ends the process.
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            *ACT.lock() = None;
        }
    }
    hear()?;
    *ACT.lock() = Some(Box::new(act));
    let _guard = Guard;
    Ok(work())
}

/// Undoes what there is to undo; gives whether the signal is to do what it does by default.
pub fn undo(signal: i32) -> bool {
    ACT.lock().as_ref().is_none_or(|act| act(signal))
}

fn hear() -> io::Result<()> {
    let mut hears = HEARS.lock();
    if *hears || signals::are_taken_over() {
        return Ok(());
    }
    let mut came = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP])?;
    let listen = move || {
        for signal in came.forever() {
            // Until the end: who has done its work meanwhile does not go on.
            let act = ACT.lock();
            if act.as_ref().is_some_and(|act| !act(signal)) {
                continue;
            }
            let _gate = signals::gate();
            let _ = emulate_default_handler(signal);
            // Here only after a stop.
            if let Some(act) = &*act {
                act(SIGCONT);
            }
        }
    };
    std::thread::Builder::new().name("bulla-undo".into()).spawn(listen)?;
    *hears = true;
    Ok(())
}
