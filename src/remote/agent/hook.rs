//! What a file's readers are told when it has other content: a command, or a signal.

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

use crate::base::locale::t;

/// How long a command may take.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// How often it is looked whether a command has ended.
const LOOK: Duration = Duration::from_millis(20);

/// The signals that programs take for "read it again", or end upon.
const SIGNALS: [(&str, i32); 7] = [
    ("HUP", SIGHUP),
    ("INT", SIGINT),
    ("QUIT", SIGQUIT),
    ("TERM", SIGTERM),
    ("USR1", SIGUSR1),
    ("USR2", SIGUSR2),
    ("WINCH", SIGWINCH),
];

/// Variables that are the agent's own business.
const OWN: [&str; 3] = ["ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "NOTIFY_SOCKET"];

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hook {
    /// A program is run, without a shell.
    Command(Vec<String>),
    /// The process whose number is in a file gets a signal.
    Signal { name: &'static str, number: i32, pid_file: PathBuf },
}

impl Hook {
    /// What a configuration says.
    ///
    /// # Errors
    /// Where that is no way to tell somebody.
    pub(super) fn of(command: Vec<String>, signal: Option<&str>, pid_file: Option<PathBuf>) -> Result<Option<Self>, String> {
        match (command.is_empty(), signal, pid_file) {
            (true, None, None) => Ok(None),
            (false, None, None) => Ok(Some(Hook::Command(command))),
            (true, Some(signal), Some(pid_file)) => {
                let plain = signal.strip_prefix("SIG").unwrap_or(signal);
                let known = SIGNALS.iter().find(|(name, _)| *name == plain);
                let names = || SIGNALS.map(|(name, _)| name).join(", ");
                let (name, number) = known.ok_or_else(|| {
                    said(t!("signal = %{signal} is none of %{names}", signal = format!("{signal:?}"), names = names()))
                })?;
                Ok(Some(Hook::Signal { name, number: *number, pid_file }))
            }
            (true, ..) => Err(said(t!("signal and pid_file go together"))),
            (false, ..) => Err(said(t!("on_change, or signal with pid_file, not both"))),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Why nobody was told.
    pub(super) fn run(&self) -> Result<(), String> {
        match self {
            Hook::Command(command) => run(command),
            Hook::Signal { number, pid_file, .. } => {
                let text = fs::read_to_string(pid_file).map_err(|e| e.to_string())?;
                // 1 and 0 are no service's.
                let number_of = text.trim().parse::<i32>().ok().filter(|pid| *pid > 1);
                let pid = number_of.and_then(Pid::from_raw).ok_or("no process id in the file")?;
                let signal = Signal::from_named_raw(*number).ok_or("no such signal")?;
                kill_process(pid, signal).map_err(|e| format!("process {pid}: {e}", pid = pid.as_raw_nonzero()))
            }
        }
    }
}

fn said(reason: Cow<'_, str>) -> String {
    reason.into_owned()
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hook::Command(command) => f.write_str(&command.join(" ")),
            Hook::Signal { name, pid_file, .. } => write!(f, "{name} to {}", pid_file.display()),
        }
    }
}

fn run(command: &[String]) -> Result<(), String> {
    let mut program = Command::new(&command[0]);
    program.args(&command[1..]).stdin(Stdio::null());
    for name in OWN {
        program.env_remove(name);
    }
    let mut child = program.spawn().map_err(|e| e.to_string())?;
    let begun = Instant::now();
    loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(status.to_string()),
            None if begun.elapsed() > COMMAND_WITHIN => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it took longer than {} s and was killed", COMMAND_WITHIN.as_secs()));
            }
            None => thread::sleep(LOOK),
        }
    }
}
