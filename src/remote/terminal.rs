//! What is asked of a person, and how a value comes in and goes out.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bulla_client::Value;
use zeroize::Zeroizing;

use crate::base::failure::{Class, Failure};
use crate::output;

/// The most that is read of a value: far above what a server takes, and a bound on what a wrong pipe can do.
const MAX_INPUT_BYTES: u64 = 8 << 20;

/// Asks for something that is not shown.
///
/// # Errors
/// Where there is no terminal.
pub fn ask_hidden(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let answer = rpassword::prompt_password(format!("{prompt} (not shown): "));
    Ok(Zeroizing::new(answer.map_err(|e| Failure::local(format!("the terminal: {e}")))?))
}

/// Asks for something that is shown.
///
/// # Errors
/// Where standard input is no terminal, or ends.
pub fn ask(prompt: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(format!("{prompt}: nobody is there to be asked")).class(Class::Usage));
    }
    eprint!("{prompt}: ");
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(|e| Failure::local(format!("the terminal: {e}")))?;
    match line.is_empty() {
        true => Err(Failure::new(format!("{prompt}: no answer")).class(Class::Usage)),
        false => Ok(line.trim().to_owned()),
    }
}

/// Lets a person type a word, unless that was said beforehand.
///
/// # Errors
/// Where another word comes, or nobody can be asked.
pub fn confirm(what: &str, word: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        let failure = Failure::new(format!("{what}: nobody is there to be asked")).class(Class::Usage);
        return Err(failure.hint("--yes does it without asking"));
    }
    match ask(&format!("{what}? Type {word} to go on"))? {
        typed if typed == word => Ok(()),
        _ => Err(Failure::new("that is another word; nothing was done").class(Class::Usage)),
    }
}

/// A value from standard input: asked for where that is a terminal, else all of it.
///
/// # Errors
/// Where nothing comes.
pub fn value_of_stdin(prompt: &str) -> Result<Value, Failure> {
    if io::stdin().is_terminal() {
        return present(Value::new(ask_hidden(prompt)?.as_bytes().to_vec()), "the value");
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
    io::stdin()
        .lock()
        .take(MAX_INPUT_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::local(format!("standard input: {e}")))?;
    // What `echo` adds. A text of several lines and bytes that are no text stay as they are.
    if std::str::from_utf8(&bytes).is_ok() && bytes.iter().filter(|b| **b == b'\n').count() == 1 && bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    present(Value::new(std::mem::take(&mut *bytes)), "standard input")
}

/// A value from a file, byte for byte.
///
/// # Errors
/// Where it cannot be read.
pub fn value_of_file(file: &Path) -> Result<Value, Failure> {
    let named = |e: io::Error| Failure::local(format!("{}: {e}", file.display()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
    fs::File::open(file).and_then(|open| open.take(MAX_INPUT_BYTES).read_to_end(&mut bytes)).map_err(named)?;
    present(Value::new(std::mem::take(&mut *bytes)), &file.display().to_string())
}

fn present(value: Value, from: &str) -> Result<Value, Failure> {
    if value.expose().is_empty() {
        return Err(Failure::new(format!("{from} is empty: no value")).class(Class::Usage));
    }
    Ok(value)
}

/// Prints a value: its bytes alone in a pipe or file, with a line's end on a terminal. Bytes that are no text never go to a terminal.
///
/// # Errors
/// Where it is binary and standard output is a terminal, or that cannot be written.
pub fn print_value(value: &Value) -> Result<(), Failure> {
    let mut bytes = Zeroizing::new(value.expose().to_vec());
    if io::stdout().is_terminal() {
        // Control characters could make a terminal do things.
        let printable = value.text().is_some_and(|text| !text.chars().any(|c| c.is_control() && !"\n\t\r".contains(c)));
        if !printable {
            let failure = Failure::new("the value is binary, and standard output is a terminal").class(Class::Usage);
            return Err(failure.hint("--out FILE, or a pipe"));
        }
        if !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
    }
    output::bytes(&bytes)
}

/// Writes a file that only its owner may read, whole or not at all.
///
/// # Errors
/// Where it cannot be written.
pub fn write_private(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let named = |e: io::Error| Failure::local(format!("{}: {e}", file.display()));
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // /dev/stdout, a pipe: nothing to replace.
    if file.exists() && !file.is_file() {
        return fs::OpenOptions::new().write(true).open(file).and_then(|mut open| open.write_all(bytes)).map_err(named);
    }
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut new = tempfile::Builder::new()
        .prefix(".bulla-")
        .tempfile_in(target.parent().filter(|p| p.is_dir()).unwrap_or(folder))
        .map_err(named)?;
    new.write_all(bytes).and_then(|()| new.as_file().sync_all()).map_err(named)?;
    new.persist(&target).map_err(|e| named(e.error))?;
    Ok(())
}

/// Opens a file for its owner alone, anew.
///
/// # Errors
/// Of the system.
pub fn create_private(file: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)
}
