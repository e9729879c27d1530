//! Which logs there are among files and folders: whose they are, and in which order their files were written.
//!
//! Owns: telling one log from another. Must not know: what lines say. Called by: admin (`bulla audit verify`, `search`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::chain::Head;
use super::lines::{Next, next_line};
use super::recover::FIRST;
use super::verify::{Broken, Flaw};

/// One log: of one node, the server's or that of its commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The node.
    pub node: String,
    /// `audit` or `admin`.
    pub name: String,
    /// Its files, in the order they were written.
    pub files: Vec<PathBuf>,
}

/// What the first line of a file says.
#[derive(Deserialize)]
struct FileLine {
    log: String,
}

/// The logs whose files these are, or are in these folders.
///
/// # Errors
/// When a path cannot be read, or is the file of no log.
pub fn logs(paths: &[PathBuf]) -> Result<Vec<Log>, Broken> {
    let mut found: BTreeMap<(String, String), Vec<(u64, PathBuf)>> = BTreeMap::new();
    for path in paths {
        let unreadable = |e: io::Error| Broken { file: path.clone(), line: 0, flaw: Flaw::Unreadable(e.to_string()) };
        let is_folder = path.is_dir();
        let files = if is_folder { in_folder(path).map_err(unreadable)? } else { vec![path.clone()] };
        if files.is_empty() {
            return Err(Broken { file: path.clone(), line: 0, flaw: Flaw::Empty });
        }
        for file in files {
            let (node, name, seq) = match first_line(&file) {
                // In a folder of logs it stands in the place of one, and the proof says what it is.
                Err(Broken { flaw: Flaw::NotALine, .. }) if is_folder => ("unknown".to_owned(), name_of(&file), 0),
                found => found?,
            };
            found.entry((node, name)).or_default().push((seq, file));
        }
    }
    let sorted = found.into_iter().map(|((node, name), mut files)| {
        files.sort();
        files.dedup();
        Log { node, name, files: files.into_iter().map(|(_, file)| file).collect() }
    });
    Ok(sorted.collect())
}

/// The files of a folder that belong to logs: `NAME.jsonl` and `NAME-<20 digits>.jsonl`.
fn in_folder(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let of_a_log = |name: &str| {
        let stem = name.strip_suffix(".jsonl")?;
        let digits = stem.rsplit_once('-').map_or("", |(_, digits)| digits);
        Some(!stem.contains('-') || digits.len() == 20 && !stem.contains("-foreign-"))
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().and_then(of_a_log) == Some(true) && entry.metadata()?.len() > 0 {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// The log's name by that of a file.
fn name_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    stem.split_once('-').map_or(&*stem, |(name, _)| name).to_owned()
}

/// Node, name of the log, and number of the file's first line.
fn first_line(file: &Path) -> Result<(String, String, u64), Broken> {
    let broken = |flaw| Broken { file: file.to_owned(), line: 1, flaw };
    let mut line = Vec::new();
    let unreadable = |e: io::Error| Broken { line: 0, ..broken(Flaw::Unreadable(e.to_string())) };
    // To open a FIFO would wait for who writes it.
    if !fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is no regular file")));
    }
    let first = File::open(file).and_then(|open| next_line(&mut BufReader::new(open), &mut line)).map_err(unreadable)?;
    match first {
        Next::End if line.is_empty() => return Err(Broken { line: 0, ..broken(Flaw::Empty) }),
        Next::TooLong => return Err(broken(Flaw::NotALine)),
        Next::Line | Next::End => {}
    }
    let head = Head::parse(&line).ok_or_else(|| broken(Flaw::NotALine))?;
    if head.kind != FIRST {
        // Its beginning was cut off, which the proof says; whose it is its name tells.
        return Ok((head.node.to_owned(), name_of(file), head.seq));
    }
    let said: FileLine = serde_json::from_slice(&line).map_err(|_| broken(Flaw::NotALine))?;
    Ok((head.node.to_owned(), said.log, head.seq))
}
