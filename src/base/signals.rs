//! Signals that wait: while the process does what a kill would leave half done, one that asks it to end takes effect afterwards.
//!
//! Owns: the handlers of SIGTERM, SIGINT, SIGHUP and SIGQUIT until a server has its own. Must not know: what must not be interrupted.
//! Called by: token (its login), process (which answers a server's signals, and waits at the gate), whoever ends the process. SIGKILL cannot be held off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level};

const HELD: [i32; 4] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT];

struct Handlers {
    /// Whether a signal ends the process at once, as it does by default.
    at_once: Arc<AtomicBool>,
    came: [Arc<AtomicBool>; HELD.len()],
    /// A server handles signals itself.
    taken_over: AtomicBool,
}

/// Read by whoever must not be interrupted.
static GATE: RwLock<()> = RwLock::new(());

/// How long the end of a process waits at the gate: a login that hangs in the module is not waited for.
const GATE_WAIT: Duration = Duration::from_secs(5);

/// How long one waits that was already to end and did not: its supervisor is about to kill it.
const END_WAIT: Duration = Duration::from_secs(1);

static HANDLERS: OnceLock<Option<Handlers>> = OnceLock::new();

fn handlers() -> Option<&'static Handlers> {
    let install = || {
        let handlers = Handlers {
            at_once: Arc::new(AtomicBool::new(true)),
            came: std::array::from_fn(|_| Arc::default()),
            taken_over: AtomicBool::new(false),
        };
        for (signal, came) in HELD.iter().zip(&handlers.came) {
            // Ends the process while `at_once`; where it does not, the second notes that it was asked to.
            flag::register_conditional_default(*signal, Arc::clone(&handlers.at_once)).ok()?;
            flag::register(*signal, Arc::clone(came)).ok()?;
        }
        Some(handlers)
    };
    HANDLERS.get_or_init(install).as_ref()
}

/// Does something that must not be interrupted. A signal that came meanwhile takes effect when it is done.
pub fn held_off<T>(work: impl FnOnce() -> T) -> T {
    /// How many are at it.
    static AT_IT: Mutex<usize> = Mutex::new(0);
    let _inside = GATE.read();
    let Some(handlers) = handlers() else { return work() };
    *AT_IT.lock() += 1;
    handlers.at_once.store(false, Ordering::SeqCst);
    let done = work();
    let mut at_it = AT_IT.lock();
    *at_it -= 1;
    if *at_it == 0 && !handlers.taken_over.load(Ordering::SeqCst) {
        handlers.at_once.store(true, Ordering::SeqCst);
        for (signal, came) in HELD.iter().zip(&handlers.came) {
            if came.swap(false, Ordering::SeqCst) {
                // Does not return; a signal that cannot be raised is one that did not come.
                let _ = low_level::emulate_default_handler(*signal);
            }
        }
    }
    done
}

/// Waits until nobody is at what must not be interrupted; while the guard lives, nobody begins.
pub fn gate() -> Option<RwLockWriteGuard<'static, ()>> {
    GATE.try_write_for(GATE_WAIT)
}

/// Ends the process, behind what must not be interrupted where that is soon done, and without the destructors of C libraries, which run in
/// an order that SoftHSM does not survive each time.
pub fn end(status: i32) -> ! {
    let _gate = GATE.try_write_for(END_WAIT);
    low_level::exit(status)
}

/// Whether somebody else decides what signals do.
pub fn are_taken_over() -> bool {
    HANDLERS.get().and_then(Option::as_ref).is_some_and(|handlers| handlers.taken_over.load(Ordering::SeqCst))
}

/// From now on somebody else decides what signals do.
pub fn taken_over() {
    if let Some(handlers) = handlers() {
        handlers.taken_over.store(true, Ordering::SeqCst);
        handlers.at_once.store(false, Ordering::SeqCst);
    }
}
