//! Files that are written whole: at any moment there is the file before or the file after, and who has the one before open reads on.
//!
//! Owns: how a file takes the place of another, and that nothing else stays of a writer that was killed. Must not know: what is written.
//! Called by: whoever writes a file that others read (token, remote, admin).
//!
//! A file has no name until it is complete (O_TMPFILE), so that the end of the process takes it away. Where there is a file already, it
//! gets a hidden name beside that first, since only a rename takes a place at once: that name is always the same, and the next writer
//! removes what a kill left there. Where a file system has no O_TMPFILE, the file has the hidden name from the beginning. A lock says that
//! its writer lives: two of one user who write one file at a time wait for each other. None of this follows a link that stands at either name.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FlockOperation, OFlags, flock, linkat};
use rustix::io::Errno;

use super::regular;

/// Whom a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Its mode, whatever the umask.
    pub mode: u32,
    /// Its owner; this process's user where there is none.
    pub owner: Option<u32>,
    /// Its group; the one that new files have here where there is none.
    pub group: Option<u32>,
}

impl Access {
    /// For the owner alone.
    pub const PRIVATE: Self = Self::of_mode(0o600);

    /// Of this process's user and group.
    pub const fn of_mode(mode: u32) -> Self {
        Self { mode, owner: None, group: None }
    }

    fn is_given_away(&self) -> bool {
        self.owner.is_some() || self.group.is_some()
    }
}

/// How long another writer of the same file is waited for: who holds its lock longer is none.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// How often somebody else may be quicker.
const ATTEMPTS: u32 = 100;

/// Bytes of a file's name that stand in the hidden one: names have 255 at most. Two of the same beginning wait for each other.
const NAME_BYTES: usize = 200;

/// Writes a file whole or not at all. It takes the place of a file or a link that stands there. What it is when this returns it is after a
/// crash of the machine too, as far as the file system's word goes.
///
/// # Errors
/// Of the system; where there is a folder. What stood there stands there still.
pub fn write(path: &Path, content: &[u8], access: &Access) -> io::Result<Metadata> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let file = put(path, content, access, nameless_in(folder))?;
    // A folder that cannot be read can be written to all the same.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    file.metadata()
}

fn put(path: &Path, content: &[u8], access: &Access, nameless: Option<File>) -> io::Result<File> {
    let beside = beside(path, "new");
    clear(&beside, PATIENCE)?;
    Ok(match nameless {
        Some(mut file) => {
            fill(&mut file, content, access)?;
            // Whoever gives a file away may not name it any more.
            match access.is_given_away() {
                false if name(&file, path).is_ok() => {}
                _ => {
                    until_free(&beside, || name(&file, &beside))?;
                    take_place(&file, &beside, path, access)?;
                }
            }
            file
        }
        None => {
            let mut file = until_free(&beside, || named(&beside))?;
            let filled = fill(&mut file, content, access).inspect_err(|_| drop(fs::remove_file(&beside)));
            filled.and_then(|()| take_place(&file, &beside, path, access))?;
            file
        }
    })
}

/// `.NAME.bulla-WHAT` in the same folder.
pub fn beside(path: &Path, what: &str) -> PathBuf {
    let of = path.file_name().unwrap_or_default().as_bytes();
    let mut name = OsString::from(".");
    name.push(OsString::from_vec(of[..of.len().min(NAME_BYTES)].to_vec()));
    name.push(".bulla-");
    name.push(what);
    path.with_file_name(name)
}

/// A file without a name, which the end of the process takes away; none where the file system, or a missing /proc, does not allow that.
fn nameless_in(folder: &Path) -> Option<File> {
    let nameless = OFlags::TMPFILE.bits().cast_signed();
    let file = OpenOptions::new().write(true).custom_flags(nameless).mode(0o600).open(folder).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    path_of(&file).exists().then_some(file)
}

fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Gives a file without a name one that nothing has.
fn name(file: &File, name: &Path) -> io::Result<()> {
    Ok(linkat(CWD, path_of(file), CWD, name, AtFlags::SYMLINK_FOLLOW)?)
}

/// A new file of this name, and nobody's but this process's.
fn named(name: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(name)?;
    // Before it was locked, another writer may have taken it for one that was left.
    let locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
    if locked == Err(Errno::WOULDBLOCK) || file.metadata()?.nlink() == 0 {
        return Err(ErrorKind::AlreadyExists.into());
    }
    Ok(file)
}

fn fill(file: &mut File, content: &[u8], access: &Access) -> io::Result<()> {
    file.write_all(content)?;
    // Whoever gives a file away can no longer say who may read it.
    file.set_permissions(Permissions::from_mode(access.mode))?;
    file.sync_all()
}

/// The file of the hidden name takes its place.
fn take_place(file: &File, beside: &Path, path: &Path, access: &Access) -> io::Result<()> {
    if !is_at(file, beside) {
        return Err(io::Error::other("another process writes it"));
    }
    let given = match access.is_given_away() {
        true => fchown(file, access.owner, access.group).and_then(|()| file.sync_all()),
        false => Ok(()),
    };
    given.and_then(|()| fs::rename(beside, path)).inspect_err(|_| drop(fs::remove_file(beside)))
}

/// Whether a file has this name.
fn is_at(file: &File, name: &Path) -> bool {
    let identity = |of: Metadata| (of.dev(), of.ino());
    fs::symlink_metadata(name).is_ok_and(|there| file.metadata().is_ok_and(|file| identity(file) == identity(there)))
}

/// Does what needs that nothing has this name, as soon as nothing has.
fn until_free<T>(beside: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    for _ in 1..ATTEMPTS {
        match make() {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => clear(beside, PATIENCE)?,
            done => return done,
        }
    }
    make()
}

/// Takes away what a writer that was killed left; one that lives is waited for.
fn clear(beside: &Path, patience: Duration) -> io::Result<()> {
    let begun = Instant::now();
    let left = regular::open_itself(beside);
    if left.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(());
    }
    // What is no file, or may not be read, was left by nobody who locks; and nobody waits for what another user locks.
    if let Ok(left) = &left {
        let is_own = left.metadata().is_ok_and(|left| left.uid() == rustix::process::geteuid().as_raw());
        while is_own
            && flock(left, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
            && begun.elapsed() < patience
        {
            thread::sleep(PAUSE);
        }
        // It has its place by now; what is there is another's.
        if !is_at(left, beside) {
            return Ok(());
        }
    }
    match fs::remove_file(beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").mode() & 0o7777
    }

    #[test]
    fn a_file_takes_the_place_of_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let first = write(&path, b"first", &Access::of_mode(0o644)).expect("written");
        assert_eq!((mode(&path), first.ino()), (0o644, fs::metadata(&path).expect("there").ino()));
        let mut open = File::open(&path).expect("there");
        let own = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        for access in [Access::PRIVATE, Access { mode: 0o440, owner: Some(own.0), group: Some(own.1) }, Access::PRIVATE] {
            write(&path, b"second", &access).expect("written");
            assert_eq!((fs::read(&path).expect("there").as_slice(), mode(&path)), (&b"second"[..], access.mode));
            assert_eq!(names(folder.path()), ["f"]);
        }
        let mut before = String::new();
        open.read_to_string(&mut before).expect("text");
        assert_eq!(before, "first", "who has it open reads on");
        let long = folder.path().join("n".repeat(255));
        for text in [b"1", b"2"] {
            write(&long, text, &Access::PRIVATE).expect("as long as a name may be");
        }
        fs::create_dir(folder.path().join("d")).expect("a folder");
        write(&folder.path().join("d"), b"x", &Access::PRIVATE).expect_err("a folder is no file");
        assert_eq!(names(folder.path()).len(), 3, "{:?}", names(folder.path()));
    }

    #[test]
    fn a_file_has_no_name_before_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        for text in [&b"first"[..], b"second"] {
            let before = names(folder.path());
            let Some(mut new) = nameless_in(folder.path()) else { return };
            fill(&mut new, text, &Access::PRIVATE).expect("written");
            assert_eq!(names(folder.path()), before, "a kill here leaves nothing");
            if name(&new, &path).is_err() {
                name(&new, &beside(&path, "new")).expect("named");
                take_place(&new, &beside(&path, "new"), &path, &Access::PRIVATE).expect("in its place");
            }
            assert_eq!(fs::read(&path).expect("read"), text);
            assert_eq!(names(folder.path()), ["f"]);
        }
    }

    /// What a writer left that was killed before the rename, or somebody put there.
    #[test]
    fn what_stands_at_the_hidden_name_goes_and_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, victim) = (folder.path().join("f"), folder.path().join("victim"));
        let hidden = beside(&path, "new");
        assert_eq!(hidden, folder.path().join(".f.bulla-new"));
        fs::write(&victim, "untouched").expect("written");
        let at_hidden: [&dyn Fn(); 4] = [
            &|| fs::write(&hidden, "a whole secret").expect("written"),
            &|| {
                fs::write(&hidden, "one that nobody may read")
                    .and_then(|()| fs::set_permissions(&hidden, Permissions::from_mode(0o000)))
                    .expect("written")
            },
            &|| symlink(&victim, &hidden).expect("a link"),
            &|| rustix::fs::mknodat(CWD, &hidden, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).expect("a pipe"),
        ];
        for (i, put) in at_hidden.iter().enumerate() {
            for there_before in [false, true] {
                put();
                if !there_before {
                    let _ = fs::remove_file(&path);
                }
                write(&path, b"new", &Access::PRIVATE).expect("written");
                assert_eq!(fs::read(&path).expect("there"), b"new");
                assert_eq!(names(folder.path()), ["f", "victim"], "{i} {there_before}");
                put();
                super::put(&path, b"named", &Access::of_mode(0o400), None).expect("where the file system has no others");
                assert_eq!((fs::read(&path).expect("there").as_slice(), mode(&path)), (&b"named"[..], 0o400));
                assert_eq!(names(folder.path()), ["f", "victim"], "{i} {there_before}");
            }
        }
        symlink(&victim, folder.path().join("link")).expect("a link");
        write(&folder.path().join("link"), b"new", &Access::PRIVATE).expect("written");
        assert!(fs::symlink_metadata(folder.path().join("link")).expect("there").is_file(), "a link is replaced");
        assert_eq!(fs::read(&victim).expect("there"), b"untouched");
    }

    #[test]
    fn a_writer_that_lives_keeps_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let hidden = beside(&folder.path().join("f"), "new");
        let writer = named(&hidden).expect("made");
        clear(&hidden, Duration::from_millis(20)).expect("given up on: a lock may be anybody's");
        assert!(!hidden.exists());
        drop(writer);
        if rustix::process::geteuid().is_root() {
            let others = named(&hidden).expect("made");
            fchown(&others, Some(1), None).expect("root may");
            clear(&hidden, Duration::from_secs(600)).expect("not waited for");
            assert!(!hidden.exists());
        }
        let writer = named(&hidden).expect("made");
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(50));
                fs::rename(&hidden, folder.path().join("f")).expect("still there");
                drop(writer);
            });
            clear(&hidden, Duration::from_secs(600)).expect("waited");
        });
        assert_eq!(names(folder.path()), ["f"]);
    }

    #[test]
    fn of_many_writers_each_writes_whole() {
        for nameless in [true, false] {
            of_many_writers(nameless);
        }
    }

    fn of_many_writers(nameless: bool) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let text = |of: u8| vec![of; 100_000];
        write(&path, &text(b'x'), &Access::PRIVATE).expect("written");
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let writers: Vec<_> = (b'a'..b'e')
                .map(|of| {
                    let (path, folder) = (&path, folder.path());
                    scope.spawn(move || {
                        for _ in 0..30 {
                            let draft = if nameless { nameless_in(folder) } else { None };
                            put(path, &text(of), &Access::PRIVATE, draft).expect("written");
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let read = fs::read(&path).expect("always there");
                    assert!(read.len() == 100_000 && read.iter().all(|byte| *byte == read[0]), "a part of one");
                }
            });
            let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            done.store(true, Ordering::Relaxed);
            assert!(ended.iter().all(Result::is_ok));
        });
        assert_eq!(names(folder.path()), ["f"]);
    }
}
