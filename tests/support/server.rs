//! Bulla as a child process, the way its users run it.
//!
//! Owns: start, readiness, kill -9, orderly stop, restart on the same data, the administrator's commands, the log as a file.
//! Every child ends with the test process, however that ends.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::client::Client;
use crate::postgres::free_port;

/// How long a start, or an orderly stop, may take: the first start makes a token and a database.
const PATIENCE: Duration = Duration::from_secs(60);

/// The line that `bulla dev --json` prints once it serves.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ready {
    /// Where it listens.
    pub endpoint: String,
    /// Its region.
    pub region_id: String,
    /// The account it made.
    pub account_id: String,
    /// The account root's access key.
    pub access_key_id: String,
    /// Its secret.
    pub access_key_secret: String,
}

/// A running (or killed) `bulla dev`.
pub struct Server {
    /// What it said when it was ready.
    pub ready: Ready,
    program: PathBuf,
    data: PathBuf,
    database: Option<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Starts `bulla dev` on a free port, with its data in this folder and, unless a URL is given, its own SQLite file there.
    /// The program is `env!("CARGO_BIN_EXE_bulla")` in Bulla's own tests. Its log is `DATA.log` beside the folder.
    ///
    /// # Panics
    /// When it does not become ready; with its log.
    #[track_caller]
    pub fn dev(program: impl AsRef<Path>, data: impl AsRef<Path>, database: Option<&str>) -> Self {
        Self::dev_with(program, data, database, &[] as &[(&str, &str)])
    }

    /// The same with more environment variables.
    ///
    /// # Panics
    /// As [`Server::dev`].
    #[track_caller]
    pub fn dev_with(
        program: impl AsRef<Path>,
        data: impl AsRef<Path>,
        database: Option<&str>,
        environment: &[(&str, impl AsRef<str>)],
    ) -> Self {
        let data = data.as_ref().to_owned();
        let mut log = data.clone().into_os_string();
        log.push(".log");
        let log = PathBuf::from(log);
        File::create(&log).expect("the folder of the data can be written");
        let mut server = Self {
            ready: Ready {
                endpoint: String::new(),
                region_id: String::new(),
                account_id: String::new(),
                access_key_id: String::new(),
                access_key_secret: String::new(),
            },
            program: program.as_ref().to_owned(),
            data,
            database: database.map(str::to_owned),
            environment: environment.iter().map(|(n, v)| ((*n).to_owned(), v.as_ref().to_owned())).collect(),
            log,
            child: None,
        };
        for attempt in 1.. {
            server.ready.endpoint = format!("127.0.0.1:{}", free_port().expect("a port"));
            match server.start() {
                Ok(()) => break,
                // Another has taken the port between the look and the start.
                Err(_) if attempt < 3 && server.log().contains("Address already in use") => {}
                Err(reason) => panic!("bulla dev did not become ready ({reason}); its log:\n{}", server.log()),
            }
        }
        server
    }

    /// Starts it again on the same data and the same port, after [`Server::kill`] or [`Server::stop`].
    ///
    /// # Panics
    /// When it runs already, or does not become ready; with its log.
    #[track_caller]
    pub fn restart(&mut self) {
        if let Err(reason) = self.try_restart() {
            panic!("bulla dev did not become ready ({reason}); its log:\n{}", self.log());
        }
    }

    /// The same for a start that may fail.
    ///
    /// # Errors
    /// Why it did not become ready; it does not run then.
    ///
    /// # Panics
    /// When it runs already.
    pub fn try_restart(&mut self) -> Result<(), String> {
        assert!(self.child.is_none(), "kill or stop it first");
        self.start()
    }

    /// Sets a variable of its environment, or takes it away, from the next start on.
    pub fn set_environment(&mut self, name: &str, value: Option<&str>) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it does not run, or is still there after 60 s.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        ended_within(&mut child, PATIENCE)
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only for a child that has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end, by SIGTERM, and waits.
    ///
    /// # Panics
    /// When it does not run, or is still there after 60 s.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        terminate(&mut child)
    }

    /// A client with the root's access key.
    pub fn client(&self) -> Client {
        self.client_as(&self.ready.access_key_id, &self.ready.access_key_secret)
    }

    /// A client with another access key.
    pub fn client_as(&self, access_key_id: &str, access_key_secret: &str) -> Client {
        Client::new(&self.ready.endpoint, access_key_id, access_key_secret)
    }

    /// Runs one of the administrator's commands on this server's data; gives what it prints as JSON.
    ///
    /// # Panics
    /// When the command fails; with what it said.
    #[track_caller]
    pub fn admin(&self, arguments: &[&str]) -> serde_json::Value {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--data").arg(&self.data).arg("--json").stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(n, v)| (n, v)));
        let output = command.output().expect("the program is there");
        assert!(output.status.success(), "bulla {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null)
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The folder of its data.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// All that it logged so far, over all its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn start(&mut self) -> Result<(), String> {
        // "http://127.0.0.1:PORT" of the last start, or the free port asked for by the first.
        let listen = self.ready.endpoint.rsplit('/').next().unwrap_or_default();
        let log = File::options().append(true).open(&self.log).expect("made by dev_with");
        let mut command = bound_to_this_process(&self.program);
        command.args(["dev", "--json", "--listen", listen, "--data"]).arg(&self.data);
        if let Some(url) = &self.database {
            command.args(["--database", url]);
        }
        command.envs(self.environment.iter().map(|(n, v)| (n, v)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = spawn(command).expect("setpriv and the program are there");
        match first_line(&mut child).and_then(|line| serde_json::from_str(&line).map_err(io::Error::other)) {
            Ok(ready) => {
                self.ready = ready;
                self.child = Some(child);
                Ok(())
            }
            Err(e) => {
                let _ = child.kill();
                let status = child.wait();
                Err(format!("{e}; {status:?}"))
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A command whose process the kernel kills when this process is gone. To be started by [`spawn`].
pub fn bound_to_this_process(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Starts it from a thread that lives as long as this process. The kernel's promise behind [`bound_to_this_process`] is about
/// the thread that started the child, and a test's own thread ends with the test, often before others stop using the server.
///
/// # Errors
/// As [`Command::spawn`].
pub fn spawn(command: Command) -> io::Result<Child> {
    type Job = (Command, mpsc::Sender<io::Result<Child>>);
    static STARTER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (send, receive) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in receive {
                // Nobody waits for the answer only if the asking thread has panicked.
                let _ = answer.send(command.spawn());
            }
        });
        send
    });
    let (send, receive) = mpsc::channel();
    starter.send((command, send)).map_err(io::Error::other)?;
    receive.recv().map_err(io::Error::other)?
}

/// Ends a child by SIGTERM and waits for it.
///
/// # Panics
/// When it is still there after 60 s; it is killed then.
#[track_caller]
pub fn terminate(child: &mut Child) -> ExitStatus {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    // Fails only for a process that is gone; `child` is not yet waited for, so the id is still its own.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    ended_within(child, PATIENCE)
}

#[track_caller]
fn ended_within(child: &mut Child, patience: Duration) -> ExitStatus {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("our own child") {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("process {} did not end within {patience:?}", child.id());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The first line on a child's standard output; what follows is read and dropped, so that the child never waits for a reader.
fn first_line(child: &mut Child) -> io::Result<String> {
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let first = lines.next().unwrap_or_else(|| Err(io::Error::other("it ended without a word")));
        let _ = send.send(first);
        lines.map_while(Result::ok).for_each(drop);
    });
    receive.recv_timeout(PATIENCE).map_err(io::Error::other)?
}
