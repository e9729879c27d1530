//! `bulla serve` beside a [`Server`]: the same token and database, an audit folder and settings of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::server::{Server, bound_to_this_process, spawn, terminate};

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running node; killed when dropped.
pub struct Node {
    config: PathBuf,
    access_key: (String, String),
    child: Child,
    log: PathBuf,
}

impl Node {
    /// Starts a node of this name and waits until it answers over plain HTTP.
    ///
    /// # Panics
    /// When it does not; with its log.
    #[track_caller]
    pub fn start(program: impl AsRef<Path>, server: &Server, name: &str) -> Self {
        Self::start_with(program, server, name, "").answering()
    }

    /// Starts a node with more settings (TOML) in `[server]` and, behind further headings, elsewhere. Waits for nothing.
    ///
    /// # Panics
    /// When the program is not there.
    pub fn start_with(program: impl AsRef<Path>, server: &Server, name: &str, settings: &str) -> Self {
        Self::start_in(program, server, name, settings, &[])
    }

    /// The same with more environment variables.
    ///
    /// # Panics
    /// As [`Node::start_with`].
    pub fn start_in(
        program: impl AsRef<Path>,
        server: &Server,
        name: &str,
        settings: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let data = server.data();
        let first = std::fs::read_to_string(data.join("bulla.toml")).expect("written by dev");
        let own = first.replace("directory = \"audit\"", &format!("directory = \"audit-{name}\""));
        assert_ne!(first, own);
        let file = data.join(format!("node-{name}.toml"));
        std::fs::write(&file, format!("{own}\n[server]\nlisten = \"127.0.0.1:0\"\n{settings}")).expect("writable");
        let log = data.join(format!("node-{name}.log"));
        let mut command = bound_to_this_process(program.as_ref());
        command.args(["serve", "--config"]).arg(&file).env("SOFTHSM2_CONF", data.join("softhsm2.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).expect("writable"));
        command.envs(environment.iter().copied());
        let child = spawn(command).expect("setpriv and the program are there");
        let ready = &server.ready;
        Self { config: file, access_key: (ready.access_key_id.clone(), ready.access_key_secret.clone()), child, log }
    }

    /// Waits until it answers.
    ///
    /// # Panics
    /// When it does not; with its log.
    #[track_caller]
    pub fn answering(self) -> Self {
        let begun = Instant::now();
        while self.client().request("ListSecrets", &[]).send().is_err() {
            assert!(begun.elapsed() < PATIENCE, "the node does not answer; its log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        self
    }

    /// host:port of its API, once it listens.
    ///
    /// # Panics
    /// When it does not; with its log.
    #[track_caller]
    pub fn endpoint(&self) -> String {
        const SAYS: &str = "serving on ";
        let begun = Instant::now();
        loop {
            let log = self.log();
            // A whole line.
            if let Some((endpoint, _)) = log.split_once(SAYS).and_then(|(_, rest)| rest.split_once('\n')) {
                return endpoint.to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "the node does not listen; its log:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A client with the root's access key.
    ///
    /// # Panics
    /// As [`Node::endpoint`].
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::new(&self.endpoint(), &self.access_key.0, &self.access_key.1)
    }

    /// Runs one of the administrator's commands on this node's configuration.
    ///
    /// # Panics
    /// When the command fails; with what it said.
    #[track_caller]
    pub fn admin(&self, program: impl AsRef<Path>, arguments: &[&str], environment: &[(&str, &str)]) {
        let mut command = Command::new(program.as_ref());
        command.args(arguments).arg("--config").arg(&self.config).envs(environment.iter().copied());
        let output = command.stdin(Stdio::null()).output().expect("the program is there");
        assert!(output.status.success(), "bulla {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// All that it logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it is still there after a minute; with its log.
    #[track_caller]
    pub fn ended(mut self) -> (ExitStatus, String) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a process") {
                return (status, self.log());
            }
            assert!(begun.elapsed() < PATIENCE, "the node goes on; its log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks it to end, by SIGTERM, and waits.
    ///
    /// # Panics
    /// When it is still there after a minute.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        terminate(&mut self.child)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail only for a child that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
