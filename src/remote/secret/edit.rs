//! What changes a value that is there: patch, edit; and the comparison of two versions.
//!
//! A change is written under a label of its own first, and ACSCurrent moves to it only from the version that was read: of two who change
//! the same value at a time, one is told so, and nothing is overwritten unseen.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bulla_client::secrets::CURRENT;
use bulla_client::{SecretValue, Selector, Value};
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock, statfs};
use rustix::process::{Pid, Signal, geteuid, kill_process, test_kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use zeroize::Zeroizing;

use super::super::{Session, failure, reference, terminal, usage, value, version_id};
use super::written;
use crate::base::failure::Failure;
use crate::base::locale::{self, t};
use crate::base::raw_json::{self, Members};
use crate::base::undo;
use crate::output::{Output, Row};

/// The magic number of tmpfs (statfs(2)).
const TMPFS: i64 = 0x0102_1994;

/// What the names of the folders begin with that editors work in.
const FOLDERS: &str = "bulla-edit-";

/// Folders that are younger are another edit's that begins.
const JUST_NOW: Duration = Duration::from_secs(10);

/// The editor of whoever names none.
const EDITOR: &str = "vi";

/// How the names of programs begin that may be Vim or Neovim.
const VIMS: [&str; 6] = ["vi", "nvim", "gvim", "mvim", "rvim", "sensible-"];

/// What makes Vim and Neovim keep nothing: no viminfo, no swap, backup or undo file, and nothing that a vimrc, a plugin or a line of the
/// value itself asks for.
const KEEP_NOTHING: &str = "-N -u NONE -i NONE -n --cmd 'set nobackup nowritebackup nomodeline'";

/// How long an editor may take to end before it is killed.
const EDITOR_ENDS_WITHIN: Duration = Duration::from_secs(2);

/// Makes a version the current one, if another still is.
pub(super) fn make_current(session: &Session, name: &str, to: &str, from: &str) -> Result<(), Failure> {
    let error = match session.client.move_stage(name, CURRENT, Some(to), Some(from)) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    if error.code() != "InvalidParameter" {
        return Err(failure(name)(error));
    }
    let versions = session.client.list_secret_versions(name).map_err(failure(name))?;
    match versions.iter().find(|version| version.is_current()) {
        // The answer to an earlier attempt got lost.
        Some(current) if current.id == to => Ok(()),
        Some(current) if current.id != from => {
            let failure = Failure::conflict(t!(
                "%{name}: the current version is %{current}, not %{from}",
                name = name,
                current = current.id,
                from = from
            ));
            Err(failure.hint(t!("read it again, and decide again")))
        }
        _ => Err(failure(name)(error)),
    }
}

/// Writes a version that becomes the current one only if this one still is.
pub(super) fn put_after(
    session: &Session,
    name: &str,
    current: &str,
    version: &str,
    value: &Value,
    binary: bool,
) -> Result<(), Failure> {
    let client = &session.client;
    let label = format!("pending-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
    client.put_secret_value(name, version, value, binary, &[&label]).map_err(failure(name))?;
    let moved = make_current(session, name, version, current);
    // Without a label it is the first to go, if it did not become the current one.
    let cleared = client.move_stage(name, &label, None, Some(version));
    moved?;
    match cleared {
        Err(error) if error.code() != "InvalidParameter" => Err(failure(name)(error)),
        _ => Ok(()),
    }
}

/// The current value, to be changed.
fn read(session: &Session, name: &str) -> Result<SecretValue, Failure> {
    session.client.secret_value(name, &Selector::Current).map_err(failure(name))
}

/// `bulla secret patch`
pub(super) fn patch(session: &Session, name: &str, changes: &[String], id: Option<String>) -> Result<Output, Failure> {
    let wrong = |change: &str| {
        let hint = t!("FIELD=@FILE, FIELD=- for standard input, FIELD! to remove");
        usage(t!("%{change} is no change", change = format!("{change:?}")), &hint)
    };
    let mut parsed: Vec<(&str, Option<&str>)> = Vec::new();
    for change in changes {
        match (change.split_once('='), change.strip_suffix('!')) {
            // The words of a change that carries its value are not repeated.
            (Some(("", _)), _) | (_, Some("")) => return Err(wrong("=…")),
            (Some((field, from)), _) if from == "-" || from.starts_with('@') => parsed.push((field, Some(from))),
            (Some((field, _)), _) => return Err(wrong(&format!("{field}=…"))),
            (None, Some(field)) => parsed.push((field, None)),
            (None, None) => return Err(wrong(change)),
        }
    }
    if parsed.iter().filter(|(_, from)| *from == Some("-")).count() > 1 && !io::stdin().is_terminal() {
        return Err(usage(t!("standard input can be one field only"), &t!("FIELD=@FILE for the others")));
    }
    let found = read(session, name)?;
    let there = value::object(name, &found.data)?;
    let mut written_anew: Vec<(&str, Option<Zeroizing<String>>)> = Vec::new();
    for (field, from) in parsed {
        if there.get(field).is_none() && value::field(name, &found.data, field).is_ok() {
            return Err(usage(
                t!("%{field} is a part of a field, and whole fields are written", field = format!("{field:?}")),
                &t!("`bulla secret edit`, or the field that it is a part of"),
            ));
        }
        written_anew.retain(|(earlier, _)| *earlier != field);
        let Some(from) = from else {
            if there.get(field).is_none() {
                return Err(value::no_field(name, &there, field));
            }
            written_anew.push((field, None));
            continue;
        };
        let new = match from.strip_prefix('@') {
            Some(file) => terminal::line_of_file(file.as_ref())?,
            None => terminal::value_of_stdin(&t!("%{field} of %{name}", field = field, name = name))?,
        };
        let text = new.text().ok_or_else(|| {
            Failure::local(t!("%{subject}: no text", subject = field)).hint(t!("a field of a JSON object is text, in UTF-8"))
        })?;
        written_anew.push((field, Some(raw_json::quoted(text))));
    }
    let changed = Value::new(patched(&there, &written_anew).as_bytes().to_vec());
    let id = id.unwrap_or_else(version_id);
    put_after(session, name, &found.version, &id, &changed, found.binary)?;
    Ok(written(name, &id))
}

/// An object with some members written anew, or taken away; the others as they were, in their places.
fn patched(there: &Members<'_>, changes: &[(&str, Option<Zeroizing<String>>)]) -> Zeroizing<String> {
    let change = |name: &str| changes.iter().find(|(changed, _)| *changed == name).map(|(_, value)| value.as_ref());
    let kept = there.iter().filter_map(|(name, value)| match change(name) {
        Some(Some(new)) => Some((name, new.as_str())),
        Some(None) => None,
        None => Some((name, value.get())),
    });
    let added = changes.iter().filter(|(name, _)| there.get(name).is_none());
    let added = added.filter_map(|(name, value)| Some((*name, value.as_ref()?.as_str())));
    raw_json::object(&kept.chain(added).collect::<Vec<_>>())
}

/// `bulla secret edit`
pub(super) fn edit(session: &Session, name: &str, id: Option<String>) -> Result<Output, Failure> {
    let editor = editor()?;
    let found = read(session, name)?;
    if found.binary {
        return Err(usage(
            t!("%{name}: the value is binary", name = name),
            &t!("`bulla secret get --out FILE`, then `bulla secret put --file FILE --binary`"),
        ));
    }
    let changed = edited(&editor, &found.data)?;
    if changed.expose() == found.data.expose() {
        return Err(Failure::new(t!("%{name}: nothing was changed", name = name)));
    }
    if changed.text().is_none_or(str::is_empty) {
        return Err(usage(t!("%{name}: the new value is empty, or no text", name = name), &t!("nothing was written")));
    }
    let id = id.unwrap_or_else(version_id);
    put_after(session, name, &found.version, &id, &changed, false)?;
    Ok(written(name, &id))
}

/// The editor that the environment names. Where it names none and nobody sits at a terminal there is none: one would show the value to a log.
fn editor() -> Result<String, Failure> {
    let named = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    match named {
        Some(editor) => Ok(editor),
        None if io::stdin().is_terminal() && io::stdout().is_terminal() => Ok(EDITOR.to_owned()),
        None => {
            let hint = t!("$VISUAL or $EDITOR names an editor; `bulla secret patch` and `put` need none");
            Err(usage(t!("no terminal, and no editor is named"), &hint))
        }
    }
}

/// Whether an editor is Vim or Neovim, by what it says of itself. Others are not asked: they might edit.
fn is_vim(editor: &str) -> bool {
    let may_be = |file: &Path| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        VIMS.iter().any(|vim| name.starts_with(vim))
    };
    let called = |word: &str| may_be(Path::new(word)) || installed(word).is_some_and(|file| may_be(&file));
    if !editor.split_whitespace().any(called) {
        return false;
    }
    let asked = Command::new("/bin/sh").arg("-c").arg(format!("{editor} --version")).stdin(Stdio::null()).output();
    asked.is_ok_and(|said| said.stdout.starts_with(b"VIM - Vi IMproved") || said.stdout.starts_with(b"NVIM"))
}

/// The file that a program's name leads to: by $PATH, and by links, as those of update-alternatives.
fn installed(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    // A path stays what it is.
    std::env::split_paths(&folders).find_map(|folder| fs::canonicalize(folder.join(program)).ok().filter(|file| file.is_file()))
}

/// What an editor makes of a text, in a folder that is memory.
fn edited(editor: &str, value: &Value) -> Result<Value, Failure> {
    let candidates = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).into_iter().chain([PathBuf::from("/dev/shm")]);
    let in_memory = |folder: &PathBuf| statfs(folder).is_ok_and(|found| found.f_type == TMPFS);
    let memory = candidates.into_iter().find(in_memory).ok_or_else(|| {
        Failure::local(t!("neither $XDG_RUNTIME_DIR nor /dev/shm is memory: an editor would write the value to a disk"))
            .hint(t!("set $XDG_RUNTIME_DIR to a folder in a tmpfs; or `bulla secret put`"))
    })?;
    remove_left(&memory);
    // The folder goes with all that the editor leaves beside the file.
    let folder = tempfile::Builder::new().prefix(FOLDERS).tempdir_in(memory)?;
    let _lock = lock(folder.path())?;
    let file = folder.path().join("value");
    let arguments = if is_vim(editor) { KEEP_NOTHING } else { "" };
    let running: Arc<Mutex<Option<Pid>>> = Arc::default();
    let of_signals = (folder.path().to_owned(), Arc::clone(&running));
    let ended = undo::guarded(
        move |signal| interrupted(signal, &of_signals.0, &of_signals.1),
        || -> io::Result<ExitStatus> {
            terminal::create_private(&file)?.write_all(value.expose())?;
            // Through a shell, since the variable can hold arguments; the file is its first.
            let line = format!("{editor} {arguments} \"$1\"");
            let mut child = Command::new("/bin/sh").arg("-c").arg(line).arg("sh").arg(&file).spawn()?;
            *running.lock() = Some(Pid::from_child(&child));
            let ended = child.wait();
            *running.lock() = None;
            ended
        },
    )??;
    if !ended.success() {
        let failure =
            Failure::local(t!("the editor (%{editor}): %{ended}; nothing was written", editor = editor, ended = ended));
        return Err(failure.hint(t!("$VISUAL or $EDITOR names another editor")));
    }
    let gone =
        |e: io::Error| Failure::local(t!("what the editor left: %{reason}; nothing was written", reason = locale::os(&e)));
    let mut text = Zeroizing::new(fs::read(&file).map_err(gone)?);
    // Editors end the last line; the value had no such end.
    if !value.expose().ends_with(b"\n") && text.ends_with(b"\n") {
        text.pop();
    }
    Ok(Value::new(std::mem::take(&mut *text)))
}

/// What a signal does while the editor runs; gives whether it ends or stops this process too. Keys of the terminal are the editor's.
fn interrupted(signal: i32, folder: &Path, editor: &Mutex<Option<Pid>>) -> bool {
    match signal {
        SIGINT | SIGQUIT => return false,
        SIGTERM | SIGHUP => {}
        _ => return true,
    }
    // Not every shell becomes the program that it runs.
    let running: Vec<Pid> = editor.lock().into_iter().flat_map(|shell| [vec![shell], children(shell)].concat()).collect();
    let send = |signal| {
        for pid in &running {
            let _ = kill_process(*pid, signal);
        }
    };
    send(if signal == SIGHUP { Signal::HUP } else { Signal::TERM });
    let until = Instant::now() + EDITOR_ENDS_WITHIN;
    while running.iter().any(|pid| test_kill_process(*pid).is_ok()) && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
    send(Signal::KILL);
    let _ = fs::remove_dir_all(folder);
    true
}

fn children(of: Pid) -> Vec<Pid> {
    let pid = of.as_raw_nonzero();
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|word| Pid::from_raw(word.parse().ok()?)).collect()
}

/// Keeps others from taking the folder for one that was left; as long as it is open.
fn lock(folder: &Path) -> io::Result<fs::File> {
    let open = fs::File::open(folder)?;
    flock(&open, FlockOperation::NonBlockingLockExclusive)?;
    Ok(open)
}

/// Removes the folders of edits that were killed: this user's, that nobody has locked. Those that were made just now may not be locked yet.
fn remove_left(memory: &Path) {
    for entry in fs::read_dir(memory).into_iter().flatten().flatten() {
        let Ok(found) = fs::symlink_metadata(entry.path()) else { continue };
        let age = found.modified().ok().and_then(|made| made.elapsed().ok()).unwrap_or_default();
        let ours = found.is_dir() && found.uid() == geteuid().as_raw() && age > JUST_NOW;
        if ours && entry.file_name().to_string_lossy().starts_with(FOLDERS) && lock(&entry.path()).is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// `bulla secret diff`: which fields differ, and how; of values that are no objects, whether they do.
pub(super) fn diff(session: &Session, name: &str, from: &str, to: &str) -> Result<Output, Failure> {
    let get = |version: &str| {
        session.client.secret_value(name, &reference::selector(version)).map_err(failure(&format!("{name}@{version}")))
    };
    let (old, new) = (get(from)?, get(to)?);
    let row = |field: &str, change: Cow<'_, str>| -> Row { Output::row([("Field", field.into()), ("Change", change.into())]) };
    let (before, after) = match (value::object(name, &old.data), value::object(name, &new.data)) {
        (Ok(before), Ok(after)) => (before, after),
        _ if old.data.expose() == new.data.expose() => return Ok(Output::List(Vec::new())),
        _ => return Ok(Output::List(vec![row(&t!("(the whole value)"), t!("changed"))])),
    };
    let names: BTreeSet<&str> = before.iter().chain(after.iter()).map(|(name, _)| name).collect();
    let rows = names.into_iter().filter_map(|field| match (before.get(field), after.get(field)) {
        (Some(_), None) => Some(row(field, t!("removed"))),
        (None, Some(_)) => Some(row(field, t!("added"))),
        (Some(old), Some(new)) if !raw_json::same(old, new) => Some(row(field, t!("changed"))),
        _ => None,
    });
    Ok(Output::List(rows.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_nobody_names_stay_as_they_are() {
        let there = r#"{"z":1,"id":98765432109876543210,"ratio":0.10,"pw":"a","old":[1, 2]}"#;
        let there = Members::of(there).expect("an object");
        let changes = [("pw", Some(raw_json::quoted("b\"\n"))), ("new", Some(raw_json::quoted("n"))), ("old", None)];
        let expected = r#"{"z":1,"id":98765432109876543210,"ratio":0.10,"pw":"b\"\n","new":"n"}"#;
        assert_eq!(*patched(&there, &changes), expected);
    }
}
