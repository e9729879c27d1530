//! The place of a Unix socket: what stands there before it is made.
//!
//! Owns: that what a process that was killed has left makes way, and nothing else does. Must not know: what is served. Called by: app
//! (`bulla unlock`'s socket), remote (the agent's).

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;

/// What stands where a socket is to be.
#[derive(Debug)]
pub enum Place {
    /// Nothing.
    Free,
    /// A socket at which nobody answers.
    Left,
    /// A socket at which somebody serves.
    Served,
    /// Something else, which somebody may need.
    Other,
}

impl Place {
    /// Looks at a path.
    ///
    /// # Errors
    /// When no socket can be there: the path is too long, or not to be looked at.
    pub fn of(path: &Path) -> io::Result<Self> {
        SocketAddr::from_pathname(path)?;
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => Ok(Place::Other),
            Ok(_) if UnixStream::connect(path).is_ok() => Ok(Place::Served),
            Ok(_) => Ok(Place::Left),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Place::Free),
            Err(e) => Err(e),
        }
    }

    /// The same, with what was left taken away.
    ///
    /// # Errors
    /// As [`Place::of`], and when it cannot be taken away.
    pub fn cleared(path: &Path) -> io::Result<Self> {
        match Self::of(path)? {
            Place::Left => fs::remove_file(path).map(|()| Place::Free),
            other => Ok(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_socket_that_nobody_serves_makes_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, socket) = (folder.path().join("bulla.db"), folder.path().join("s"));
        fs::write(&file, "kept").expect("written");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        for other in [file.as_path(), &link, folder.path(), Path::new("/dev/null")] {
            assert!(matches!(Place::cleared(other), Ok(Place::Other)), "{}", other.display());
        }
        assert_eq!(fs::read_to_string(&file).expect("there"), "kept");
        assert!(matches!(Place::cleared(&socket), Ok(Place::Free)));
        let listener = UnixListener::bind(&socket).expect("bound");
        assert!(matches!(Place::cleared(&socket), Ok(Place::Served)) && socket.exists());
        drop(listener);
        assert!(matches!(Place::of(&socket), Ok(Place::Left)) && socket.exists());
        assert!(matches!(Place::cleared(&socket), Ok(Place::Free)) && !socket.exists());
        assert!(Place::of(&folder.path().join("x".repeat(120))).is_err(), "longer than an address may be");
    }
}
