//! A file that is kept: whole or not at all, for whom it is, and not written where it is as it should be.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::config::Kept;
use crate::base::locale::t;
use crate::base::regular;
use crate::base::whole_file::{self, Access, beside};

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

/// Sees to it that a file has this content, and is for whom it should be. The folder may be another's, who puts there what he likes: nothing
/// but the path is written, and nothing is read that is no file of this length.
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
        let is_known = left.as_ref().is_some_and(|left| left.content == hash && left.file == identity(there));
        let same = if is_known { Some(there.clone()) } else { holding(&kept.path, content) };
        if let Some(same) = same.as_ref().filter(|same| is_for(same, kept)) {
            *left = Some(Left { content: hash, file: identity(same) });
            return Ok(Change::None);
        }
        change = if same.is_some() { Change::Mended } else { Change::Replaced };
    }
    if change == Change::Replaced && kept.hook.is_some() {
        note_untold(&kept.path)?;
    }
    let access = Access { mode: kept.mode, owner: kept.owner, group: kept.group };
    let written = whole_file::write(&kept.path, content, &access)?;
    *left = Some(Left { content: hash, file: identity(&written) });
    Ok(change)
}

/// The file that stands at this path itself, where it has this content. One that cannot be read, since it is another's, has other content.
fn holding(path: &Path, content: &[u8]) -> Option<Metadata> {
    let file = regular::open_itself(path).ok()?;
    let there = file.metadata().ok().filter(|there| there.len() == content.len() as u64)?;
    let mut found = Zeroizing::new(Vec::with_capacity(content.len() + 1));
    file.take(content.len() as u64 + 1).read_to_end(&mut found).ok()?;
    (**found == *content).then_some(there)
}

/// Says beside a file that its readers are to be told: by an empty file that is new, or by what stands there already.
fn note_untold(path: &Path) -> io::Result<()> {
    match File::create_new(untold(path)) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

fn untold(path: &Path) -> PathBuf {
    beside(path, "untold")
}

/// Whether a file was replaced, and its readers were not told before the agent ended: a file beside it says so.
pub(super) fn is_untold(kept: &Kept) -> bool {
    kept.hook.is_some() && fs::symlink_metadata(untold(&kept.path)).is_ok()
}

/// They were. Where that cannot be noted they are told once more after the next start.
pub(super) fn note_told(kept: &Kept) {
    let _ = fs::remove_file(untold(&kept.path));
}

/// Whether a file is for whom it should be.
fn is_for(file: &Metadata, kept: &Kept) -> bool {
    file.mode() & 0o7777 == kept.mode
        && kept.owner.is_none_or(|owner| file.uid() == owner)
        && kept.group.is_none_or(|group| file.gid() == group)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::config::{Content, Form};
    use super::super::hook::Hook;
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
        symlink(&victim, beside(&kept.path, "new")).expect("a link");
        symlink(&victim, &path).expect("a link");
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
        assert!(!beside(&of_folder.path, "new").exists());
    }

    #[test]
    fn whom_a_file_is_for_may_change_while_its_content_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut kept = kept(folder.path().join("a"), 0o440);
        let mut left = None;
        assert_eq!(keep(&kept, b"1", &mut left).expect("writable"), Change::Made);
        kept.mode = 0o400;
        assert_eq!(keep(&kept, b"1", &mut left).expect("writable"), Change::Mended);
        assert_eq!(fs::metadata(&kept.path).expect("there").mode() & 0o7777, 0o400);
        assert_eq!(keep(&kept, b"1", &mut left).expect("writable"), Change::None);
        let own = fs::metadata(&kept.path).expect("there");
        (kept.owner, kept.group) = (Some(own.uid()), Some(own.gid()));
        assert_eq!(keep(&kept, b"1", &mut left).expect("writable"), Change::None, "they are as they were");
    }

    /// The folder's owner puts there what he likes.
    #[test]
    fn nothing_that_stands_beside_a_file_is_written_through_or_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let (victim, path) = (folder.path().join("victim"), folder.path().join("a"));
        fs::write(&victim, "untouched").expect("writable");
        let mut kept = kept(path.clone(), 0o400);
        kept.hook = Some(Hook::Command(vec!["true".to_owned()]));
        let note = beside(&path, "untold");
        let fifo = |at: &Path| {
            rustix::fs::mknodat(rustix::fs::CWD, at, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).expect("a pipe");
        };
        keep(&kept, b"0", &mut None).expect("writable");
        let puts: [&dyn Fn(); 3] = [&|| symlink(&victim, &note).expect("a link"), &|| fifo(&note), &|| {}];
        for (i, put) in puts.iter().enumerate() {
            put();
            assert_eq!(keep(&kept, i.to_string().repeat(3).as_bytes(), &mut None).expect("writable"), Change::Replaced);
            assert_eq!(fs::read(&victim).expect("readable"), b"untouched");
            assert!(is_untold(&kept));
            note_told(&kept);
            assert!(!is_untold(&kept));
        }
        // A link to what has the content is none of it, and a file that does not end is not read to its end.
        fs::write(&victim, "same").expect("writable");
        fs::remove_file(&path).expect("ours");
        symlink(&victim, &path).expect("a link");
        assert!(holding(&path, b"same").is_none() && holding(&victim, b"same").is_some());
        File::options().write(true).open(&victim).and_then(|file| file.set_len(1 << 40)).expect("a file with a hole");
        assert!(holding(&victim, b"same").is_none());
        fs::remove_file(&path).expect("ours");
        fifo(&path);
        assert!(holding(&path, b"same").is_none());
    }
}
