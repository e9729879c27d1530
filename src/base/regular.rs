//! Files that are files: what others write and this process reads.
//!
//! Owns: that what is no regular file is refused, where to open a FIFO would wait for its writer for ever, and a device has no end. Called
//! by: whoever reads such files (http, certificate, logins, audit, app, admin, remote), and whole_file.

use std::fs::{File, OpenOptions};
use std::io::{Error, Read, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Bytes of the longest file that is read: far more than any of these has.
const LONGEST: u64 = 4 << 20;

/// The content of a regular file; symbolic links are followed.
///
/// # Errors
/// Of the system, with its kind and the path; when it is no regular file, or far too long.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let (file, length) = open(path, OFlags::empty())?;
    if length > LONGEST {
        return Err(named(path, "is far too long"));
    }
    let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    file.take(LONGEST).read_to_end(&mut content).map_err(|e| named(path, e))?;
    Ok(content)
}

/// The same of a text.
///
/// # Errors
/// As [`read`]; when it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|_| named(path, "is not UTF-8"))
}

/// Opens a regular file that stands at this path itself: no symbolic link.
///
/// # Errors
/// Of the system, with its kind and the path; when it is no regular file.
pub fn open_itself(path: &Path) -> Result<File> {
    open(path, OFlags::NOFOLLOW).map(|(file, _)| file)
}

/// The file and its length, bytes.
fn open(path: &Path, more: OFlags) -> Result<(File, u64)> {
    let flags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(more).bits().cast_signed();
    let failed = |e: Error| Error::new(e.kind(), format!("{}: {e}", path.display()));
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_file() { Ok((file, metadata.len())) } else { Err(named(path, "is no regular file")) }
}

fn named(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::other(format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let (fifo, file) = (folder.path().join("fifo"), folder.path().join("file"));
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
        assert!(made.success());
        std::fs::write(&file, "content").expect("written");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        assert_eq!(read(&link).expect("a file"), b"content");
        assert!(open_itself(&file).is_ok() && open_itself(&link).is_err());
        for other in [fifo.as_path(), folder.path(), Path::new("/dev/null")] {
            let refused = read(other).expect_err("no file").to_string();
            assert!(refused.contains("no regular file") && refused.contains(&*other.to_string_lossy()), "{refused}");
            assert_eq!(open_itself(other).expect_err("no file").to_string(), refused);
        }
        assert_eq!(read(Path::new("/nowhere")).expect_err("nothing").kind(), std::io::ErrorKind::NotFound);
    }
}
