//! Signals, each answered on purpose.
//!
//! Owns: what each signal means to a server. Must not know: how it stops or what it reads again. Called by: main (from the start
//! on), app and remote (which say who hears).
//!
//! | signal | means |
//! |---|---|
//! | TERM, INT, QUIT, PWR | end in good order; during a start, end at once |
//! | HUP | read again what can change: certificates, limits, servers whose accounts are rotated, the log's level; the agent's configuration |
//! | USR1, USR2, ALRM, VTALRM, PROF, IO, STKFLT, XCPU, XFSZ, the real-time signals | nothing; the log says that it came |
//! | PIPE | nothing |
//! | TSTP, TTIN, TTOU, CONT, CHLD, URG, WINCH | as the system has it: job control, or nothing |
//! | KILL, STOP; SEGV, BUS, FPE, ILL, TRAP, ABRT, SYS | as the system has it: a stop without notice, which nothing acknowledged is lost by |

use std::io;
use std::time::Duration;

use parking_lot::Mutex;
use signal_hook::consts::signal::*;
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, exit, signal_name};

use crate::base::{signals as held, undo};
use crate::logging;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To end in good order.
    Stop,
    /// To read again what can change.
    Reload,
}

type Listener = Box<dyn Fn(Asked) + Send>;

/// How long the end of a start waits for the log.
const FLUSH: Duration = Duration::from_millis(200);

/// Who hears; nobody while a server starts.
static LISTENER: Mutex<Option<Listener>> = Mutex::new(None);

/// Linux's numbers without names in the crate: STKFLT, PWR, and the first and last real-time signal that the C library leaves.
const STKFLT: i32 = 16;
const PWR: i32 = 30;
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

const STOPS: [i32; 4] = [SIGTERM, SIGINT, SIGQUIT, PWR];
const IGNORED: [i32; 9] = [SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, STKFLT, SIGXCPU, SIGXFSZ];

/// Answers signals as the table says, from now on.
///
/// # Errors
/// When the system takes no handler or gives no thread.
pub fn answer() -> io::Result<()> {
    let wanted = STOPS.into_iter().chain([SIGHUP]).chain(IGNORED).chain(REAL_TIME);
    held::taken_over();
    let mut signals = Signals::new(wanted)?;
    let listen = move || {
        for signal in signals.forever() {
            let name = signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned);
            let asked = match signal {
                SIGHUP => Asked::Reload,
                signal if STOPS.contains(&signal) => Asked::Stop,
                _ => {
                    log::info!("{name}: nothing to do");
                    continue;
                }
            };
            match (&*LISTENER.lock(), asked) {
                (Some(listener), asked) => {
                    log::info!("{name}: {}", if asked == Asked::Stop { "stopping" } else { "reading again what can change" });
                    listener(asked);
                }
                (None, Asked::Reload) => log::info!("{name}: nothing to do before the service is there"),
                // Nothing is being served that had to be brought to an end.
                (None, Asked::Stop) => {
                    // A PIN may be being typed.
                    undo::undo(signal);
                    // Held until the end: no login begins any more.
                    let _gate = held::gate();
                    logging::flush(FLUSH);
                    if emulate_default_handler(signal).is_err() {
                        exit(1);
                    }
                }
            }
        }
    };
    std::thread::Builder::new().name("bulla-signals".into()).spawn(listen).map(drop)
}

/// Says who hears from now on; on the signals' own thread, one after the other.
pub fn hear(listener: impl Fn(Asked) + Send + 'static) {
    *LISTENER.lock() = Some(Box::new(listener));
}
