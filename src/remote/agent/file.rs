//! A file that is kept: whole or not at all, for whom it is, and not written where it is as it should be.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::config::Kept;
use crate::base::locale::t;

/// What was done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing: it is as it should be.
    None,
    /// There was no file.
    Made,
    /// It has other content than before.
    Replaced,
    /// It had the content, for others than it should.
    Mended,
}

/// A file as it was left: where nobody touched it since, it need not be read.
pub(super) struct Left {
    content: Vec<u8>,
    file: Identity,
}

/// Which file it is, and when it was touched last.
type Identity = (u64, u64, u64, i64, i64, i64, i64);

fn identity(of: &Metadata) -> Identity {
    (of.dev(), of.ino(), of.size(), of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec())
}

/// Sees to it that a file has this content.
///
/// The content goes into a new file beside it, whose name is always the same, so that a process that was killed leaves one such file at
/// most, and takes the place of the old one by a rename: who has that open reads on, who opens it reads the new one.
///
/// # Errors
/// Of the system.
pub(super) fn keep(kept: &Kept, content: &[u8], left: &mut Option<Left>) -> io::Result<Change> {
    let hash = digest(&SHA256, content).as_ref().to_vec();
    let there = match fs::symlink_metadata(&kept.path) {
        Ok(there) => Some(there),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let mut change = Change::Made;
    if let Some(there) = &there {
        // A device, a pipe or a folder is somebody else's; a link is replaced, and not followed.
        if !there.is_file() && !there.is_symlink() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, t!("is no file")));
        }
        if left.as_ref().is_some_and(|left| left.content == hash && left.file == identity(there)) {
            return Ok(Change::None);
        }
        // One that cannot be read, since it is another's, counts as other content.
        let same = there.is_file() && fs::read(&kept.path).map(Zeroizing::new).is_ok_and(|found| **found == *content);
        if same && is_for(there, kept) {
            *left = Some(Left { content: hash, file: identity(there) });
            return Ok(Change::None);
        }
        change = if same { Change::Mended } else { Change::Replaced };
    }
    if change == Change::Replaced && kept.hook.is_some() {
        File::create(beside(kept, "untold"))?;
    }
    let written = replace(kept, content)?;
    *left = Some(Left { content: hash, file: identity(&written) });
    Ok(change)
}

/// Whether a file was replaced, and its readers were not told before the agent ended: a file beside it says so.
pub(super) fn is_untold(kept: &Kept) -> bool {
    kept.hook.is_some() && beside(kept, "untold").exists()
}

/// They were. Where that cannot be noted they are told once more after the next start.
pub(super) fn note_told(kept: &Kept) {
    let _ = fs::remove_file(beside(kept, "untold"));
}

/// Whether a file is for whom it should be.
fn is_for(file: &Metadata, kept: &Kept) -> bool {
    file.mode() & 0o7777 == kept.mode
        && kept.owner.is_none_or(|owner| file.uid() == owner)
        && kept.group.is_none_or(|group| file.gid() == group)
}

fn replace(kept: &Kept, content: &[u8]) -> io::Result<Metadata> {
    let new = beside(kept, "new");
    match fs::remove_file(&new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    // Nobody's but the agent's until it is whole; never through a link that somebody put there.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let done = fill(&mut file, kept, content).and_then(|()| fs::rename(&new, &kept.path));
    if let Err(error) = done {
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    if let Some(folder) = kept.path.parent() {
        // The rename outlives a crash of the machine; where a folder cannot be opened, the next start writes again.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    file.metadata()
}

fn fill(file: &mut File, kept: &Kept, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    // Whoever gives a file away can no longer say who may read it.
    file.set_permissions(Permissions::from_mode(kept.mode))?;
    if kept.owner.is_some() || kept.group.is_some() {
        fchown(&*file, kept.owner, kept.group)?;
    }
    file.sync_all()
}

/// `.NAME.bulla-WHAT` in the same folder.
fn beside(kept: &Kept, what: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(kept.path.file_name().unwrap_or_default());
    name.push(".bulla-");
    name.push(what);
    kept.path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::super::config::{Content, Form};
    use super::*;
    use crate::remote::reference::Reference;

    fn kept(path: PathBuf, mode: u32) -> Kept {
        let content = Content::Value(Reference::parse("a").expect("sound"), Form::Raw);
        Kept { path, content, mode, owner: None, group: None, hook: None }
    }

    #[test]
    fn a_file_is_written_where_it_is_not_as_it_should_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = kept(folder.path().join("a"), 0o440);
        let mut left = None;
        assert_eq!(keep(&kept, b"1", &mut left).expect("writable"), Change::Made);
        let first = fs::metadata(&kept.path).expect("there");
        assert_eq!(first.mode() & 0o7777, 0o440);
        assert_eq!(keep(&kept, b"1", &mut left).expect("writable"), Change::None);
        // One that knows nothing of the file yet reads it.
        assert_eq!(keep(&kept, b"1", &mut None).expect("writable"), Change::None);
        assert_eq!(fs::metadata(&kept.path).expect("there").ino(), first.ino());

        // Who has it open reads on.
        let open = File::open(&kept.path).expect("readable");
        assert_eq!(keep(&kept, b"22", &mut left).expect("writable"), Change::Replaced);
        assert_eq!(io::read_to_string(open).expect("text"), "1");
        assert_eq!(fs::read(&kept.path).expect("readable"), b"22");
        fs::set_permissions(&kept.path, Permissions::from_mode(0o644)).expect("ours");
        assert_eq!(keep(&kept, b"22", &mut left).expect("writable"), Change::Mended);
        assert_eq!(fs::metadata(&kept.path).expect("there").mode() & 0o7777, 0o440);
        fs::remove_file(&kept.path).expect("ours");
        assert_eq!(keep(&kept, b"22", &mut left).expect("writable"), Change::Made);
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn neither_a_link_nor_what_a_killed_process_left_is_written_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let (victim, path) = (folder.path().join("victim"), folder.path().join("a"));
        fs::write(&victim, "untouched").expect("writable");
        let kept = kept(path.clone(), 0o400);
        std::os::unix::fs::symlink(&victim, beside(&kept, "new")).expect("a link");
        std::os::unix::fs::symlink(&victim, &path).expect("a link");
        assert_eq!(keep(&kept, b"s", &mut None).expect("writable"), Change::Replaced);
        assert_eq!(fs::read(&victim).expect("readable"), b"untouched");
        assert!(fs::symlink_metadata(&path).expect("there").is_file());
        let (fifo, mut of_fifo) = (folder.path().join("fifo"), kept);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).expect("a pipe");
        of_fifo.path = fifo.clone();
        assert_eq!(keep(&of_fifo, b"s", &mut None).expect_err("no file").to_string(), "is no file");
        assert!(!fs::symlink_metadata(&fifo).expect("there").is_file());
        fs::create_dir(folder.path().join("d")).expect("a folder");
        let mut of_folder = of_fifo;
        of_folder.path = folder.path().join("d");
        keep(&of_folder, b"s", &mut None).expect_err("a folder is no file");
        assert!(!beside(&of_folder, "new").exists());
    }
}
