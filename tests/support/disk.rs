//! A disk of a few megabytes that can be filled and emptied: a tmpfs.
//!
//! Owns: mounting it, filling it, unmounting it however the test ends. Needs root, as CI has.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A mounted tmpfs; gone when dropped, or when this process ends.
pub struct SmallDisk {
    folder: PathBuf,
    /// Unmounts when its standard input ends, which it does with this process at the latest.
    sweeper: Child,
}

impl SmallDisk {
    /// Mounts a disk of so many bytes.
    ///
    /// # Errors
    /// When this process may not mount.
    pub fn mount(bytes: u64) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bulla-disk-").tempdir()?.keep();
        let options = format!("size={bytes},mode=0755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder).output()?;
        if !mounted.status.success() {
            fs::remove_dir(&folder)?;
            return Err(io::Error::other(String::from_utf8_lossy(&mounted.stderr).trim().to_owned()));
        }
        let script = "trap '' INT TERM HUP; read -r _; umount -l \"$0\"; rmdir \"$0\"";
        let mut sweeper = Command::new("sh");
        sweeper.args(["-c", script]).arg(&folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { folder, sweeper: sweeper.spawn()? })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Takes all the space there is.
    ///
    /// # Panics
    /// When it cannot be written for another reason than that it is full.
    pub fn fill(&self) {
        self.fill_but(0);
    }

    /// Takes all but so many bytes, and what pages round them up to.
    ///
    /// # Panics
    /// As [`SmallDisk::fill`].
    pub fn fill_but(&self, left: u64) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).expect("the disk is mounted");
        for block in [1 << 20, 1 << 12, 1] {
            let zeros = vec![0; block];
            loop {
                match ballast.write_all(&zeros) {
                    Ok(()) => {}
                    Err(e) if e.kind() == ErrorKind::StorageFull => break,
                    Err(e) => panic!("{}: {e}", self.folder.display()),
                }
            }
        }
        let length = ballast.metadata().expect("it is open").len();
        ballast.set_len(length.saturating_sub(left)).expect("a shorter file takes no space");
    }

    /// Gives the space back.
    ///
    /// # Panics
    /// When the disk is not mounted any more.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("it was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        // Our own child; it ends by itself.
        let _ = self.sweeper.wait();
    }
}
