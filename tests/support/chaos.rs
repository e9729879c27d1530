//! The chaos module (softhsm/chaos) from a test's side: what a process needs to load it, and a line to it once it has.
//!
//! ```no_run
//! # use bulla_test_support::{chaos::Chaos, server::Server};
//! # let (module, folder) = (std::path::Path::new("libsofthsm2.so"), std::path::Path::new("/tmp/x"));
//! let server = Server::dev_with("bulla", folder.join("data"), None, &Chaos::environment(module, folder, "gcm in-place"));
//! let chaos = Chaos::of(folder, server.pid().expect("it runs"));
//! chaos.tell("fail C_Decrypt CKR_DEVICE_ERROR times=1");
//! ```

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;

pub use bulla_chaos::{Function, RESERVED_VARIABLE, RETURN_CODES, module};

/// A line to the chaos module of a process.
pub struct Chaos {
    stream: Mutex<BufReader<UnixStream>>,
}

/// Environment variables.
pub type Environment = Vec<(&'static str, String)>;

impl Chaos {
    /// What a process needs that loads the chaos module: which module is behind it, where its control socket goes, and the
    /// commands that it obeys before its first call. For `bulla` it also says to load it.
    pub fn environment(behind: &Path, folder: &Path, start: &str) -> Environment {
        vec![
            ("BULLA_TOKEN__MODULE", module().display().to_string()),
            (bulla_chaos::MODULE_VARIABLE, behind.display().to_string()),
            (bulla_chaos::CONTROL_VARIABLE, folder.display().to_string()),
            (bulla_chaos::START_VARIABLE, start.to_owned()),
        ]
    }

    /// The line to a process that has loaded the module with this folder.
    ///
    /// # Panics
    /// When it has not.
    #[track_caller]
    pub fn of(folder: &Path, process: u32) -> Self {
        let socket = bulla_chaos::socket(folder, process);
        match UnixStream::connect(&socket) {
            Ok(stream) => Self { stream: Mutex::new(BufReader::new(stream)) },
            Err(e) => panic!("{}: {e}", socket.display()),
        }
    }

    /// Tells it a command (softhsm/README.md); what it answers.
    ///
    /// # Panics
    /// When it refuses the command, or has gone.
    #[track_caller]
    pub fn tell(&self, command: &str) -> String {
        let mut stream = self.stream.lock().expect("no test goes on after a panic here");
        let mut answer = String::new();
        let sent = stream.get_mut().write_all(format!("{command}\n").as_bytes());
        if let Err(e) = sent.and_then(|()| stream.read_line(&mut answer)) {
            panic!("{command}: {e}");
        }
        match answer.trim_end().split_once(' ').unwrap_or((answer.trim_end(), "")) {
            ("ok", text) => text.to_owned(),
            _ => panic!("{command}: {answer}"),
        }
    }

    /// How often a function was called.
    ///
    /// # Panics
    /// As [`Chaos::tell`].
    #[track_caller]
    pub fn calls(&self, function: Function) -> u64 {
        let calls = self.tell("calls");
        let of = |pair: &str| pair.split_once('=').and_then(|(name, n)| (name == function.name()).then(|| n.parse().ok())?);
        calls.split(' ').find_map(of).unwrap_or(0)
    }

    /// How many calls hang.
    ///
    /// # Panics
    /// As [`Chaos::tell`].
    #[track_caller]
    pub fn hanging(&self) -> usize {
        self.tell("hanging").parse().expect("a number")
    }

    /// How many IVs of AES-GCM were used, and how many of them were used before.
    ///
    /// # Panics
    /// As [`Chaos::tell`].
    #[track_caller]
    pub fn ivs(&self) -> (u64, u64) {
        let ivs = self.tell("ivs");
        let number = |pair: &str| pair.split_once('=').and_then(|(_, n)| n.parse().ok()).expect("name=number");
        let (recorded, repeated) = ivs.split_once(' ').expect("two");
        (number(recorded), number(repeated))
    }
}
