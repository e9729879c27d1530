//! What the process settles with the kernel about itself, before it holds a secret.
//!
//! Owns: core dumps, tracing, locked memory, and, each in a file of its own, open files, signals and the log's way out. Must not
//! know: configuration files, secrets. Called by: main (every command), app (what the server is configured to).

pub mod notify;
pub mod open_files;
pub mod signals;

use std::io;
use std::sync::Arc;

use rustix::fs::Mode;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior, setrlimit, umask,
};
use rustix::thread::{CapabilitySet, capabilities};
use serde::Deserialize;

/// Whether memory is kept from being written to swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockMemory {
    /// Where the process may lock all of it: with CAP_IPC_LOCK, or RLIMIT_MEMLOCK unlimited.
    #[default]
    WhereAllowed,
    /// Or the server does not start.
    Always,
    /// Swap is encrypted or absent.
    Never,
}

/// No core dumps, not for helpers either that the kernel pipes them to; no other process of the same user may trace this one or
/// read its memory.
///
/// # Errors
/// Of the system.
pub fn forbid_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    forbid_traces()
}

/// The same for this program alone: another one that takes its place may dump and be traced as it likes.
///
/// # Errors
/// Of the system.
pub fn forbid_traces() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Where the memory of this process would go if it crashed: what the kernel's core pattern says, unless core dumps are forbidden.
///
/// # Errors
/// Of the system.
pub fn core_dump() -> io::Result<Option<String>> {
    let dumpable = dumpable_behavior()? != DumpableBehavior::NotDumpable;
    let pattern = || std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_else(|e| e.to_string());
    Ok(dumped_to(dumpable, getrlimit(Resource::Core).current, pattern))
}

/// A program that dumps are piped to gets them whatever the limit is; a process that is not dumpable is dumped to nobody (core(5)).
fn dumped_to(dumpable: bool, limit: Option<u64>, pattern: impl FnOnce() -> String) -> Option<String> {
    let pattern = dumpable.then(pattern)?.trim().to_owned();
    (pattern.starts_with('|') || limit != Some(0)).then_some(pattern)
}

/// What is made from here on, whatever the umask of the shell says, may be written by nobody else: audit folder, database, backups.
/// Programs that this one starts inherit it.
pub fn forbid_others_to_write() {
    let others = Mode::WGRP.union(Mode::WOTH);
    // It is not told without being set.
    let was = umask(Mode::RWXG.union(Mode::RWXO));
    umask(was.union(others));
}

/// A file that the system lets grow no further (RLIMIT_FSIZE) is an error of the write, not the end of the process. Programs that this one
/// starts or becomes have the system's way again: a handler does not outlive exec.
///
/// # Errors
/// Of the system.
pub fn outlive_file_limits() -> io::Result<()> {
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()).map(drop)
}

/// Locks what memory there is and will be, page by page as it is first used, so that reserved address space costs nothing.
///
/// A finite limit counts address space, which grows: a process that locked within it would one day get no more memory. So memory
/// is locked without limit or not at all.
///
/// # Errors
/// When it must be locked and may not be.
pub fn lock_memory(wanted: LockMemory) -> io::Result<()> {
    if wanted == LockMemory::Never {
        return Ok(());
    }
    let locked =
        if may_lock_all() { lock_all() } else { Err(io::Error::other("neither CAP_IPC_LOCK nor an unlimited RLIMIT_MEMLOCK")) };
    match locked {
        Err(error) if wanted == LockMemory::Always => {
            Err(io::Error::new(error.kind(), format!("memory cannot be locked: {error}")))
        }
        Err(error) => {
            log::warn!("memory is not locked and may be written to swap: {error}");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// The same for a command, where that needs no other limit: a program that it starts, or becomes, would have that limit too. What is not
/// locked is said nowhere: most persons may lock little, and a command ends soon.
pub fn lock_memory_of_command() {
    if has_ipc_lock() || getrlimit(Resource::Memlock).current.is_none() {
        let _ = lock_all();
    }
}

fn lock_all() -> io::Result<()> {
    Ok(mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)?)
}

/// Whether the process may lock all of its memory.
pub fn may_lock_all() -> bool {
    let limit = getrlimit(Resource::Memlock);
    let unlimited = limit.maximum.is_none() && setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }).is_ok();
    unlimited || has_ipc_lock()
}

fn has_ipc_lock() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_keeps_no_dump_from_a_program() {
        let dumped = |dumpable, limit, pattern: &str| dumped_to(dumpable, limit, || format!("{pattern}\n"));
        let (file, program) = ("/var/crash/core.%p", "|/usr/lib/systemd/systemd-coredump %P");
        for pattern in [file, program] {
            assert_eq!(dumped(false, None, pattern), None);
            assert_eq!(dumped(true, None, pattern).as_deref(), Some(pattern));
            assert_eq!(dumped(true, Some(4096), pattern).as_deref(), Some(pattern));
        }
        assert_eq!(dumped(true, Some(0), file), None);
        assert_eq!(dumped(true, Some(0), program).as_deref(), Some(program));
    }
}
