//! A program under supervision: started again or told when a secret has a new version, its output masked.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use bulla_client::{Selector, Value, abreast};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};
use zeroize::Zeroizing;

use super::files::MemoryFile;
use super::mask::{Masks, Piece};
use super::not_started;
use super::plan::Plan;
use crate::base::failure::Failure;
use crate::base::locale::{self, Language, t};
use crate::cli::{Run, Watch};
use crate::output;
use crate::remote::reference::Reference;
use crate::remote::resolve::{Resolved, resolve};
use crate::remote::{Session, failure, usage};

/// How long a program may take to end before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How long what an ended program left running may be silent until its output is not waited for any more.
const QUIET: Duration = Duration::from_secs(1);

/// What a signal handed on is, and those that a terminal sends to everybody in front of it.
const PASSED_ON: [i32; 8] = [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH];
const OF_TERMINALS: [i32; 4] = [SIGINT, SIGQUIT, SIGWINCH, SIGCONT];

/// What happens around a program.
enum Event {
    /// The one that was started so many starts ago has ended.
    Ended(u64, io::Result<ExitStatus>),
    /// Somebody sent a signal.
    Signal(i32),
    /// A terminal sent one, to the program too.
    Typed(i32),
    /// The secrets have other values.
    Changed(Resolved),
    /// All that the one that was started so many starts ago printed to one stream is copied, or cannot be.
    Copied(u64, io::Result<()>),
}

/// A program that runs.
struct Running {
    pid: Pid,
    start: u64,
    /// Streams that are being copied.
    copies: usize,
    /// Why one of them could not be copied to its end.
    unwritten: Option<io::Error>,
    files: Vec<MemoryFile>,
}

impl Running {
    /// A stream of the one that was started so many starts ago is copied.
    fn copied(&mut self, start: u64, copied: io::Result<()>) {
        if start == self.start {
            self.copies -= 1;
            self.unwritten = copied.err().or(self.unwritten.take());
        }
    }
}

/// Runs a program until it ends by itself. Gives its exit code.
pub(super) fn run(session: Option<&Session>, plan: &Plan<'_>, run: &Run) -> Result<i32, Failure> {
    let can_change = can_change(&plan.references);
    if run.watch.is_some() && can_change.is_empty() {
        let hint = t!("without --watch; or with a reference that names no version's id");
        return Err(usage(t!("--watch: no secret is asked for that could have a new version"), &hint));
    }
    let mut resolved = match session {
        Some(session) => resolve(session, &plan.references)?,
        None => Resolved { values: Vec::new(), versions: Vec::new() },
    };
    // Who may not look at them learns that now, and not from a program that is never told. A server that is away may come back.
    if let (Some(session), Some(_)) = (session, run.watch) {
        abreast(&can_change, |name| match session.client.describe_secret(name) {
            Err(error) if !error.is_temporary() => Err(failure(name)(error)),
            _ => Ok(()),
        })?;
    }
    // Until here, while a server may be waited for, they end this process.
    let (events, seen) = mpsc::channel();
    let mut signals = SignalsInfo::<WithOrigin>::new(PASSED_ON)?;
    let of_signals = events.clone();
    thread::spawn(move || {
        for origin in signals.forever() {
            if of_signals.send(heard(&origin)).is_err() {
                return;
            }
        }
    });
    let watched = run.watch.map(|_| Watched { names: can_change, versions: resolved.versions.clone() });
    thread::scope(|scope| {
        let (done, stop) = mpsc::channel::<()>();
        if let (Some(session), Some(watched)) = (session, watched) {
            let (events, interval) = (events.clone(), Duration::from_secs(run.interval));
            scope.spawn(move || watched.watch(session, &plan.references, interval, &stop, &events));
        }
        let (mut start, masks) = (0, Arc::new(Masks::default()));
        if let Some(signal) = between(&seen, &events, &mut resolved) {
            return Ok(128 + signal);
        }
        let mut running = begin(plan, &resolved.values, run, start, &events, &masks)?;
        // What is said from now on stands among the program's own lines, in a log.
        locale::speak(Language::English);
        let ended = loop {
            match seen.recv() {
                Ok(Event::Ended(which, status)) if which == start => break status?,
                Ok(Event::Ended(..)) => {}
                Ok(Event::Copied(which, copied)) => running.copied(which, copied),
                Ok(Event::Signal(signal)) => pass_on(signal, running.pid),
                Ok(Event::Typed(_)) => {}
                Ok(Event::Changed(new)) => {
                    resolved = new;
                    if run.watch == Some(Watch::Hup) {
                        masks.add(resolved.values.iter().map(Value::expose));
                        for (file, value) in running.files.iter().zip(plan.of_files(&resolved.values)) {
                            file.replace(value)?;
                        }
                        let _ = kill_process(running.pid, Signal::HUP);
                        continue;
                    }
                    match end(&mut running, &seen)? {
                        // It ended by itself, or somebody wanted all of it to end.
                        Stop::Wanted(status) => break status,
                        Stop::Ended(newer) => resolved = newer.unwrap_or(resolved),
                    }
                    if let Some(signal) = between(&seen, &events, &mut resolved) {
                        return Ok(128 + signal);
                    }
                    start += 1;
                    running = begin(plan, &resolved.values, run, start, &events, &masks)?;
                }
                Err(_) => return Err(Failure::new("the watch over the program ended")),
            }
        };
        finish_copies(&mut running, &seen);
        drop(done);
        match running.unwritten {
            // The program was told where nobody reads any more: its own writes failed.
            Some(error) if ended.success() && error.kind() != io::ErrorKind::BrokenPipe => Err(output::unwritten(&error)),
            _ => Ok(code(ended)),
        }
    })
}

/// As shells say it.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Waits until what an ended program printed is copied, or somebody wants the end of it all.
fn finish_copies(running: &mut Running, seen: &Receiver<Event>) {
    while running.copies > 0 {
        match seen.recv() {
            Ok(Event::Copied(which, copied)) => running.copied(which, copied),
            Ok(Event::Signal(signal) | Event::Typed(signal)) if ends(signal) => return,
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// Takes in what came while no program ran. A signal that asks for the end is given back: it was for this process, and no program that is
/// begun now has got it, also where a terminal sent it. Other signals are for the program that begins next.
fn between(seen: &Receiver<Event>, events: &Sender<Event>, resolved: &mut Resolved) -> Option<i32> {
    let mut later = Vec::new();
    for event in seen.try_iter() {
        match event {
            Event::Signal(signal) | Event::Typed(signal) if ends(signal) => return Some(signal),
            Event::Signal(signal) => later.push(signal),
            Event::Changed(new) => *resolved = new,
            // Of programs that are over, or of a window that has another size.
            Event::Ended(..) | Event::Copied(..) | Event::Typed(_) => {}
        }
    }
    for signal in later {
        // Received by this thread.
        let _ = events.send(Event::Signal(signal));
    }
    None
}

/// Whether a signal asks for the end.
fn ends(signal: i32) -> bool {
    matches!(signal, SIGTERM | SIGINT | SIGQUIT)
}

/// What a signal is: one that the kernel sends of these comes of a terminal's key or size, and the program has it already.
fn heard(origin: &Origin) -> Event {
    match origin.cause {
        Cause::Kernel if OF_TERMINALS.contains(&origin.signal) => Event::Typed(origin.signal),
        _ => Event::Signal(origin.signal),
    }
}

fn pass_on(signal: i32, pid: Pid) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        let _ = kill_process(pid, signal);
    }
}

fn begin(
    plan: &Plan<'_>,
    values: &[Value],
    run: &Run,
    start: u64,
    events: &Sender<Event>,
    masks: &Arc<Masks>,
) -> Result<Running, Failure> {
    let files = plan.files(values, run.watch != Some(Watch::Hup))?;
    let mut command = plan.command(values, &files)?;
    if run.mask {
        masks.add(values.iter().map(Value::expose));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    let mut child = command.spawn().map_err(|e| not_started(command.get_program(), &e))?;
    let (pid, over) = (Pid::from_child(&child), Arc::new(AtomicBool::new(false)));
    let mut copies = 0;
    let mut copy = |from: Box<dyn Read + Send>, to: Box<dyn Write + Send>| {
        let (masks, over, events) = (Arc::clone(masks), Arc::clone(&over), events.clone());
        thread::spawn(move || {
            let copied = masks.copy(pieces(from, over), to);
            let _ = events.send(Event::Copied(start, copied));
        });
        copies += 1;
    };
    if let Some(from) = child.stdout.take() {
        copy(Box::new(from), Box::new(io::stdout()));
    }
    if let Some(from) = child.stderr.take() {
        copy(Box::new(from), Box::new(io::stderr()));
    }
    let (events, is_over) = (events.clone(), Arc::clone(&over));
    thread::spawn(move || {
        let status = child.wait();
        is_over.store(true, Ordering::Relaxed);
        let _ = events.send(Event::Ended(start, status));
    });
    Ok(Running { pid, start, copies, unwritten: None, files })
}

/// What comes from a program, piece by piece, until it ends; after the program's own end until nothing came for [`QUIET`], as others
/// that it started may hold the stream for as long as they like.
fn pieces(mut from: Box<dyn Read + Send>, over: Arc<AtomicBool>) -> impl FnMut() -> Option<Piece> {
    let (pieces, seen) = mpsc::sync_channel::<Piece>(1);
    thread::spawn(move || {
        let mut buffer = Zeroizing::new(vec![0; 16 << 10]);
        loop {
            match from.read(&mut buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(count) if count > 0 && pieces.send(Zeroizing::new(buffer[..count].to_vec())).is_ok() => {}
                _ => return,
            }
        }
    });
    move || loop {
        let was_over = over.load(Ordering::Relaxed);
        match seen.recv_timeout(QUIET) {
            Ok(piece) => return Some(piece),
            Err(RecvTimeoutError::Timeout) if !was_over => {}
            Err(_) => return None,
        }
    }
}

/// How the end of a program that is to be started again went.
enum Stop {
    /// As it should; with the values that came meanwhile.
    Ended(Option<Resolved>),
    /// Somebody asked for the end of it all meanwhile.
    Wanted(ExitStatus),
}

/// Ends a program: TERM, and KILL where it takes too long.
fn end(running: &mut Running, seen: &Receiver<Event>) -> Result<Stop, Failure> {
    let _ = kill_process(running.pid, Signal::TERM);
    let (begun, mut wanted, mut newer) = (Instant::now(), false, None);
    loop {
        match seen.recv_timeout(STOP_WITHIN.saturating_sub(begun.elapsed())) {
            Ok(Event::Ended(which, status)) if which == running.start => {
                return Ok(if wanted { Stop::Wanted(status?) } else { Stop::Ended(newer) });
            }
            Ok(Event::Signal(signal)) => {
                wanted |= ends(signal);
                pass_on(signal, running.pid);
            }
            Ok(Event::Typed(signal)) => wanted |= ends(signal),
            Ok(Event::Changed(new)) => newer = Some(new),
            Ok(Event::Copied(which, copied)) => running.copied(which, copied),
            Ok(Event::Ended(..)) => {}
            Err(RecvTimeoutError::Timeout) => {
                let _ = kill_process(running.pid, Signal::KILL);
            }
            Err(RecvTimeoutError::Disconnected) => return Err(Failure::new("the watch over the program ended")),
        }
    }
}

/// The secrets whose versions can change, and what was last seen of each.
struct Watched {
    names: Vec<String>,
    versions: Vec<(String, String)>,
}

/// The secrets that are not asked for by a version's id alone.
fn can_change(references: &[Reference]) -> Vec<String> {
    let moving = |r: &&Reference| !matches!(r.which, Selector::Version(_));
    let mut names: Vec<String> = references.iter().filter(moving).map(|r| r.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

impl Watched {
    /// Looks for new versions until nobody wants to know.
    ///
    /// DescribeSecret tells when a secret was changed last, to the second. Two changes of one second look the same, so what has changed
    /// is read, and at the next look, in another second, once more.
    fn watch(
        mut self,
        session: &Session,
        references: &[Reference],
        interval: Duration,
        stop: &Receiver<()>,
        events: &Sender<Event>,
    ) {
        let mut known: HashMap<String, (String, bool)> = HashMap::new();
        let (mut away, mut begun) = (false, Instant::now());
        // From one look's beginning to the next one's, but a server that takes long to answer is left alone for a moment.
        let pause = |begun: Instant| interval.saturating_sub(begun.elapsed()).max(interval / 10);
        while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(pause(begun)) {
            begun = Instant::now();
            let looked = session.client.describe_secrets(&self.names).map_err(failure(""));
            let found = looked.and_then(|secrets| {
                let mut changed = false;
                for (name, secret) in self.names.iter().zip(secrets) {
                    let (seen, settled) = known.remove(name).unwrap_or_default();
                    let again = seen == secret.update_time;
                    changed |= !(again && settled);
                    known.insert(name.clone(), (secret.update_time, again));
                }
                if changed { resolve(session, references).map(Some) } else { Ok(None) }
            });
            match found {
                Ok(Some(new)) if new.versions != self.versions => {
                    self.versions = new.versions.clone();
                    if events.send(Event::Changed(new)).is_err() {
                        return;
                    }
                    away = false;
                }
                Ok(_) => away = false,
                Err(error) => {
                    // The program goes on with what it has; what was not read is looked at again.
                    known.clear();
                    if !away {
                        log::warn!("the secrets cannot be watched: {error}");
                    }
                    away = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_comes_while_no_program_runs_ends_it_all() {
        let versions = |of: &str| Resolved { values: Vec::new(), versions: vec![("n".to_owned(), of.to_owned())] };
        for signal in [SIGTERM, SIGINT, SIGQUIT] {
            let (events, seen) = mpsc::channel();
            let mut resolved = versions("1");
            for event in [Event::Signal(SIGHUP), Event::Copied(0, Ok(())), Event::Changed(versions("2"))] {
                events.send(event).expect("heard");
            }
            assert_eq!(between(&seen, &events, &mut resolved), None);
            assert_eq!(resolved.versions, versions("2").versions);
            events.send(Event::Signal(signal)).expect("heard");
            assert_eq!(between(&seen, &events, &mut resolved), Some(signal));
        }
        let (events, seen) = mpsc::channel();
        events.send(Event::Signal(SIGHUP)).expect("heard");
        assert_eq!(between(&seen, &events, &mut versions("1")), None);
        assert!(matches!(seen.try_recv(), Ok(Event::Signal(SIGHUP))), "the next program gets it");
    }
}
