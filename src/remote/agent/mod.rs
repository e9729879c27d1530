//! `bulla agent`: files that are kept fresh, for programs that can only read files; and a socket, for those that read from a Vault.
//!
//! Each pass reads all values by one request of many (`resolve`), writes what has changed (`file`) and tells who reads it (`hook`). While
//! the server is away, and where it refuses a value, files stay as they are. Between two passes no value of a file is held. The socket
//! (`socket`, and `answers` for what it says) has a client and a cache of its own.

mod answers;
mod config;
mod file;
mod hook;
mod socket;

use std::collections::BTreeSet;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use bulla_client::{Cache, Value};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::reference::Reference;
use super::resolve::{self, Got};
use super::{Session, value};
use crate::base::dotenv;
use crate::base::failure::Failure;
use crate::base::locale::{self, Language, t};
use crate::base::raw_json;
use crate::cli;
use crate::process::notify;
use crate::process::signals::{self, Asked};
use answers::Served;
use config::{Config, Content, Door, Form, Kept};
use file::{Change, Left};
use hook::Hook;
use socket::Socket;

/// How often a call is tried within a pass: the next pass is soon.
const ATTEMPTS: u32 = 2;

/// The first wait after a pass that had no answer; it doubles, up to [`LONGEST_RETRY`] or the interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// How long the end waits for a pass: a file is whole at any moment.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Runs the command.
pub(super) fn run(asked: &cli::Agent) -> Result<(), Failure> {
    let mut agent = Agent::begin(asked, if asked.once { super::ATTEMPTS } else { ATTEMPTS })?;
    if asked.once {
        // Its failures are the command's own, and said once.
        agent.quiet = true;
        agent.pass();
        return agent.outcome();
    }
    agent.open(asked)?;
    // What is said from now on stands in a log.
    locale::speak(Language::English);
    agent.say();
    let (tell, told) = mpsc::channel();
    signals::hear(move |asked| {
        // Nobody is left who could be told: it ends.
        let _ = tell.send(asked);
    });
    let (wake, woken) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let of_agent = asked.clone();
    thread::Builder::new().name("bulla-agent".into()).spawn(move || {
        agent.keep(&of_agent, &woken);
        drop(end);
    })?;
    loop {
        match told.recv() {
            Ok(Asked::Reload) if wake.send(()).is_ok() => {}
            Ok(Asked::Stop) => break,
            _ => return Err(Failure::new("the agent's thread ended")),
        }
    }
    notify::stopping();
    drop(wake);
    let _ = ended.recv_timeout(END_WITHIN);
    Ok(())
}

struct Agent {
    session: Session,
    interval: Duration,
    files: Vec<Watched>,
    /// A socket that is to be opened.
    door: Option<Door>,
    socket: Option<Socket>,
    away: Option<Away>,
    ready: bool,
    /// Whether what goes wrong is kept from the log.
    quiet: bool,
}

/// A file, and what is known of it.
struct Watched {
    kept: Kept,
    left: Option<Left>,
    /// Whether its hook is to be told still.
    untold: bool,
    /// Why it is not as it should be.
    problem: Option<Failure>,
}

/// There was no answer.
struct Away {
    since: Timestamp,
    reason: Failure,
    retry: Duration,
}

impl Agent {
    fn begin(asked: &cli::Agent, attempts: u32) -> Result<Self, Failure> {
        let config = Config::read(&asked.config)?;
        let session = Session::with(&asked.connection, attempts)?;
        let watched = |kept| Watched { untold: file::is_untold(&kept), kept, left: None, problem: None };
        let files = config.files.into_iter().map(watched).collect();
        let (interval, door) = (config.interval, config.door);
        Ok(Self { session, interval, files, door, socket: None, away: None, ready: false, quiet: false })
    }

    /// Opens the socket, where there is to be one.
    fn open(&mut self, asked: &cli::Agent) -> Result<(), Failure> {
        if let Some(door) = self.door.take() {
            let served = self.served(&door, asked)?;
            self.socket = Some(Socket::open(door, served)?);
        }
        Ok(())
    }

    /// What the socket serves: by a client of its own, from values that are as old as those of files.
    fn served(&self, door: &Door, asked: &cli::Agent) -> Result<Served, Failure> {
        let client = Session::with(&asked.connection, ATTEMPTS)?.client;
        let cache = Cache::builder(client).ttl(self.interval).build();
        Ok(Served { cache, users: door.users.clone(), names: door.secrets.clone() })
    }

    fn say(&self) {
        log::info!("keeping {} files, read every {} s", self.files.len(), self.interval.as_secs());
        if let Some(socket) = &self.socket {
            log::info!("values can be read at {}", socket.path().display());
        }
    }

    /// Passes, until nobody wants more of them. A word on the way reads the configuration anew.
    fn keep(mut self, asked: &cli::Agent, woken: &Receiver<()>) {
        loop {
            self.pass();
            self.tell();
            match woken.recv_timeout(self.pause()) {
                Ok(()) => self.reload(asked),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Goes on with another configuration and another access key, where both are sound.
    fn reload(&mut self, asked: &cli::Agent) {
        match Self::begin(asked, ATTEMPTS) {
            Ok(mut new) => {
                for file in &mut new.files {
                    if let Some(known) = self.files.iter_mut().find(|known| known.kept.path == file.kept.path) {
                        (file.left, file.untold) = (known.left.take(), known.untold);
                    }
                }
                new.ready = self.ready;
                if let Err(failure) = new.take_over(self.socket.take(), asked) {
                    let left = if new.socket.is_some() { "stays as it was" } else { "is closed" };
                    log::error!("the socket {left}: {failure}");
                }
                *self = new;
                self.say();
            }
            Err(failure) => log::error!("the configuration stays as it was: {failure}"),
        }
    }

    /// Goes on with a socket that is open; one at another place, or for others, is opened anew.
    fn take_over(&mut self, open: Option<Socket>, asked: &cli::Agent) -> Result<(), Failure> {
        match (open, &self.door) {
            (Some(open), Some(door)) if open.is_as(door) => {
                open.serve(self.served(door, asked)?);
                self.socket = Some(open);
                Ok(())
            }
            (Some(open), Some(door)) if open.path() != door.path => self.open(asked).inspect_err(|_| self.socket = Some(open)),
            (open, _) => {
                drop(open);
                self.open(asked)
            }
        }
    }

    /// Reads all values and writes what has changed.
    fn pass(&mut self) {
        let references: Vec<Vec<Reference>> = self.files.iter().map(|file| file.kept.content.references()).collect();
        match resolve::each(&self.session, &references.concat()) {
            Ok(got) => {
                if let Some(away) = self.away.take() {
                    log::info!("the server answers again, after {}", span(away.since));
                }
                let mut got = got.into_iter();
                for (file, references) in self.files.iter_mut().zip(&references) {
                    let some: Vec<_> = got.by_ref().take(references.len()).collect();
                    file.update(some, self.quiet);
                }
            }
            Err(reason) => {
                let (since, retry) = match self.away.take() {
                    Some(away) => (away.since, (away.retry * 2).min(LONGEST_RETRY)),
                    None => {
                        if !self.quiet {
                            log::warn!("the files stay as they are: {reason}");
                        }
                        (Timestamp::now(), FIRST_RETRY)
                    }
                };
                self.away = Some(Away { since, reason, retry });
            }
        }
        self.run_hooks();
    }

    /// Tells of what was replaced, each hook once for all of its files. What could not be told is tried again with each pass.
    fn run_hooks(&mut self) {
        let mut hooks: Vec<Hook> = Vec::new();
        for hook in self.files.iter().filter_map(Watched::untold) {
            if !hooks.contains(hook) {
                hooks.push(hook.clone());
            }
        }
        for hook in hooks {
            match hook.run() {
                Ok(()) => {
                    log::info!("told: {hook}");
                    for file in self.files.iter_mut().filter(|file| file.untold() == Some(&hook)) {
                        file.untold = false;
                        file::note_told(&file.kept);
                    }
                }
                Err(reason) if !self.quiet => log::warn!("not told, and tried again: {hook}: {reason}"),
                Err(_) => {}
            }
        }
    }

    /// Until the next pass: a random tenth more or less, so that many agents do not come at once.
    fn pause(&self) -> Duration {
        let pause = self.away.as_ref().map_or(self.interval, |away| away.retry.min(self.interval));
        pause * 9 / 10 + pause / 5 * u32::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255
    }

    /// Says to the service manager how it stands.
    fn tell(&mut self) {
        let there = |file: &Watched| std::fs::symlink_metadata(&file.kept.path).is_ok();
        if !self.ready && self.files.iter().all(there) {
            self.ready = true;
            notify::ready();
        }
        let troubled: Vec<&Watched> = self.files.iter().filter(|file| file.problem.is_some()).collect();
        notify::status(&match (&self.away, troubled.first().and_then(|file| file.problem.as_ref())) {
            (Some(away), _) => format!("without the server since {:.0}: {}", away.since, away.reason),
            (None, Some(first)) => {
                format!("{} of {} files are not as they should be: {first}", troubled.len(), self.files.len())
            }
            (None, None) => format!("{} files, read at {:.0}", self.files.len(), Timestamp::now()),
        });
    }

    /// What came of the only pass.
    fn outcome(&mut self) -> Result<(), Failure> {
        if let Some(away) = self.away.take() {
            return Err(away.reason);
        }
        let mut problems = self.files.iter_mut().filter_map(|file| file.problem.take());
        if let Some(mut first) = problems.next() {
            for other in problems {
                first.reason = format!("{}; {}", first.reason, other.reason);
            }
            return Err(first);
        }
        match self.files.iter().find_map(Watched::untold) {
            Some(hook) => Err(Failure::local(t!("the files are written, but not told: %{hook}", hook = hook))),
            None => Ok(()),
        }
    }
}

impl Watched {
    /// The hook that is to be told of it still.
    fn untold(&self) -> Option<&Hook> {
        self.kept.hook.as_ref().filter(|_| self.untold)
    }

    /// Brings the file to what the server gave.
    fn update(&mut self, got: Vec<Result<Got, Failure>>, quiet: bool) {
        let path = self.kept.path.display().to_string();
        let done = got.into_iter().collect::<Result<Vec<Got>, Failure>>().and_then(|got| {
            let versions = got.iter().map(|got| format!("{} of version {}", got.name, got.version)).collect::<Vec<_>>();
            let values: Vec<Value> = got.into_iter().map(|got| got.value).collect();
            let bytes = self.kept.content.bytes(&values)?;
            let change = file::keep(&self.kept, &bytes, &mut self.left);
            let change = change.map_err(|e| Failure::local(t!("it cannot be written: %{reason}", reason = locale::os(&e))))?;
            Ok((change, versions.join(", ")))
        });
        match done {
            Ok((change, versions)) => {
                match change {
                    Change::None => {}
                    Change::Made => log::info!("{path}: made, with {versions}"),
                    Change::Replaced => log::info!("{path}: replaced, by {versions}"),
                    Change::Mended => log::warn!("{path}: it was for others than it should be, and is not any more"),
                }
                self.untold |= change == Change::Replaced;
                if self.problem.take().is_some() && change == Change::None {
                    log::info!("{path}: as it should be again");
                }
            }
            Err(mut problem) => {
                problem.reason = locale::about(&path, &problem.reason);
                if !quiet && self.problem.as_ref().is_none_or(|known| known.reason != problem.reason) {
                    log::error!("{problem}");
                }
                self.problem = Some(problem);
            }
        }
    }
}

impl Content {
    /// What is to be in the file.
    fn bytes(&self, values: &[Value]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        match self {
            Content::Template(template) => Ok(template.filled(values)),
            Content::Value(_, Form::Raw) => Ok(Zeroizing::new(values[0].expose().to_vec())),
            Content::Value(reference, Form::Env) => {
                let there = value::object(&reference.to_string(), &values[0])?;
                let mut out = Zeroizing::new(Vec::with_capacity(2 * values[0].expose().len() + 64));
                let mut names = BTreeSet::new();
                for (member, content) in there.iter() {
                    let name = dotenv::name(member);
                    let text = raw_json::text(content);
                    let text = text.filter(|text| !member.is_empty() && !text.contains('\0'));
                    let Some(text) = text else {
                        let failure = t!(
                            "%{reference}: no shell has a variable without a name, or one that is no text or has a NUL",
                            reference = reference
                        );
                        return Err(Failure::new(failure));
                    };
                    let line = Zeroizing::new(dotenv::line(&name, &text));
                    if !names.insert(name) {
                        return Err(Failure::new(t!(
                            "%{reference}: two members would both be %{name}",
                            reference = reference,
                            name = dotenv::name(member)
                        )));
                    }
                    out.extend_from_slice(line.as_bytes());
                }
                Ok(out)
            }
        }
    }
}

/// `3 min`, since a moment.
fn span(since: Timestamp) -> String {
    let seconds = (Timestamp::now() - since).total(jiff::Unit::Second).unwrap_or_default();
    if seconds < 120.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}
