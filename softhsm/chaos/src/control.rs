//! The control socket: a line in, a line out.
//!
//! Owns: the socket. Called by: `lib`, once.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use crate::{chaos, command, socket};

/// Listens on this process's socket in the folder.
///
/// # Errors
/// Of the system.
pub(crate) fn listen(folder: &Path) -> io::Result<()> {
    let path = socket(folder, std::process::id());
    // Left by a process of the same number that was killed.
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    let listener = UnixListener::bind(&path)?;
    std::thread::Builder::new().name("bulla-chaos".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    })?;
    Ok(())
}

/// Obeys until the client has gone.
fn serve(stream: UnixStream) {
    let Ok(mut answers) = stream.try_clone() else { return };
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let answer = match command::obey(chaos(), &line) {
            Ok(text) => format!("ok {text}\n"),
            Err(reason) => format!("error {reason}\n"),
        };
        if answers.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
