//! Files that are memory and nothing else: anonymous, inherited by the program, gone with it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use bulla_client::Value;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::base::failure::Failure;
use crate::base::locale::{self, t};

/// One file.
pub(super) struct MemoryFile(File);

impl MemoryFile {
    /// A file with this content. The program inherits it: it is not closed on exec.
    pub(super) fn new(value: &Value) -> Result<Self, Failure> {
        let made = || -> io::Result<File> {
            let mut file = File::from(memfd_create("bulla", MemfdFlags::ALLOW_SEALING)?);
            file.set_permissions(fs::Permissions::from_mode(0o400))?;
            file.write_all(value.expose())?;
            Ok(file)
        };
        made().map(Self).map_err(|e| Failure::local(t!("a file in memory: %{reason}", reason = locale::os(&e))))
    }

    /// Nobody can change it any more.
    pub(super) fn seal(&self) -> Result<(), Failure> {
        let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&self.0, all)
            .map_err(io::Error::from)
            .map_err(|e| Failure::local(t!("a file in memory: %{reason}", reason = locale::os(&e))))
    }

    /// Other content.
    pub(super) fn replace(&self, value: &Value) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.write_all_at(value.expose(), 0)
    }

    /// Where the program finds it, itself or a child that inherits its files.
    pub(super) fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}

/// Links to files in memory. They hold no value, and lead nowhere when the process has ended.
#[derive(Default)]
pub(super) struct Links(Vec<PathBuf>);

impl Links {
    /// Makes one, in the place of a link that leads nowhere any more, never of a file.
    pub(super) fn make(&mut self, path: &Path, file: &MemoryFile, process: u32) -> Result<(), Failure> {
        let dead = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) && !path.exists();
        if dead {
            let _ = fs::remove_file(path);
        }
        let target = format!("/proc/{process}/fd/{}", file.0.as_raw_fd());
        symlink(target, path).map_err(Failure::of_file(path))?;
        self.0.push(path.to_owned());
        Ok(())
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}
