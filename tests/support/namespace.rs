//! A host of its own for a database, as far as the network knows: a network namespace behind a cable, with a relay in it to a
//! server of this machine. Its power can be cut.
//!
//! Owns: making it, cutting its power, freezing the relay. Needs root and `ip`, as CI has.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::server::spawn;

/// Port of the relay.
const PORT: u16 = 5432;

/// What the relay does: passes bytes between its port and a socket of PostgreSQL, which both see the end of the other.
const RELAY: &str = r#"
import socket, sys, threading
def pass_on(a, b):
    try:
        while True:
            data = a.recv(65536)
            if not data: break
            b.sendall(data)
    except OSError: pass
    for s in (a, b):
        try: s.shutdown(socket.SHUT_RDWR)
        except OSError: pass
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])), backlog=64)
while True:
    client, _ = listener.accept()
    server = socket.socket(socket.AF_UNIX)
    try: server.connect(sys.argv[2])
    except OSError:
        client.close()
        continue
    for pair in ((client, server), (server, client)):
        threading.Thread(target=pass_on, args=pair, daemon=True).start()
"#;

/// The host.
pub struct Host {
    name: String,
    number: u8,
    socket: PathBuf,
    relay: Option<Child>,
}

impl Host {
    /// A host whose port 5432 leads to this socket of a server.
    ///
    /// # Errors
    /// When namespaces cannot be made here.
    pub fn start(socket: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU8 = AtomicU8::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("bulla{}-{number}", std::process::id());
        let mut host = Self { name, number, socket: socket.to_owned(), relay: None };
        host.power_on()?;
        Ok(host)
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("{}.2", self.net())
    }

    fn net(&self) -> String {
        format!("10.{}.{}", 200 + std::process::id() % 50, self.number)
    }

    /// All that it was doing is gone, without a word to anybody.
    ///
    /// # Panics
    /// When it is off already.
    pub fn power_off(&mut self) {
        let _ = ip(&["link", "set", &self.cable(), "down"]);
        let mut relay = self.relay.take().expect("it is on");
        let _ = relay.kill();
        let _ = relay.wait();
        let _ = ip(&["netns", "del", &self.name]);
        let _ = ip(&["link", "del", &self.cable()]);
    }

    /// Comes back with the same address.
    ///
    /// # Errors
    /// When namespaces cannot be made here.
    pub fn power_on(&mut self) -> io::Result<()> {
        let (name, cable) = (self.name.clone(), self.cable());
        let (far, net) = (format!("{cable}f"), self.net());
        let (near, address) = (format!("{net}.1/24"), format!("{net}.2/24"));
        ip(&["netns", "add", &name])?;
        ip(&["link", "add", &cable, "type", "veth", "peer", "name", &far, "netns", &name])?;
        ip(&["addr", "add", &near, "dev", &cable])?;
        ip(&["link", "set", &cable, "up"])?;
        for inside in [&["addr", "add", &address, "dev", &far][..], &["link", "set", &far, "up"], &["link", "set", "lo", "up"]]
        {
            ip(&[&["-n", &name][..], inside].concat())?;
        }
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "ip", "netns", "exec", &name, "python3", "-c", RELAY, &PORT.to_string()]);
        command.arg(&self.socket).stdin(Stdio::null());
        self.relay = Some(spawn(command)?);
        let begun = Instant::now();
        while std::net::TcpStream::connect((self.address(), PORT)).is_err() {
            if begun.elapsed() > Duration::from_secs(20) {
                return Err(io::Error::other("the relay does not listen"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// From now on it takes connections and bytes, and passes nothing on.
    ///
    /// # Panics
    /// When it is off.
    pub fn freeze(&self) {
        let relay = self.relay.as_ref().expect("it is on");
        let pid = rustix::process::Pid::from_child(relay);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("our own child");
    }

    /// Lets a frozen way pass things on again.
    ///
    /// # Panics
    /// When the host is off.
    pub fn thaw(&self) {
        let relay = self.relay.as_ref().expect("it is on");
        let pid = rustix::process::Pid::from_child(relay);
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).expect("our own child");
    }

    fn cable(&self) -> String {
        format!("b{}-{}", std::process::id() % 100_000, self.number)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.relay.is_some() {
            self.power_off();
        }
    }
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}
