//! What a program is to get: which variables, which files, from which secrets.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;

use bulla_client::Value;
use zeroize::Zeroizing;

use super::files::{Links, MemoryFile};
use super::program;
use crate::base::dotenv;
use crate::base::failure::{Class, Failure};
use crate::base::locale::{self, t};
use crate::base::text;
use crate::cli::Run;
use crate::remote::reference::{Reference, SCHEME};
use crate::remote::usage;

/// Everything that is known before the server is asked.
pub(super) struct Plan<'r> {
    run: &'r Run,
    /// What is asked for: first that of the variables, in their order, then that of the files. Values come in this order.
    pub(super) references: Vec<Reference>,
    /// Variables that are references.
    secret: BTreeMap<OsString, Reference>,
    /// Variables of env files that are none.
    plain: BTreeMap<OsString, Zeroizing<String>>,
    /// Files, by how they are found.
    files: Vec<Target>,
}

/// How a program finds a file.
enum Target {
    /// A variable has its path.
    Variable(String),
    /// A link at this place leads to it.
    Link(PathBuf),
}

impl<'r> Plan<'r> {
    /// Reads environment, env files and flags; the later of these goes before the earlier.
    pub(super) fn of(run: &'r Run) -> Result<Self, Failure> {
        let mut plan = Self { run, references: Vec::new(), secret: BTreeMap::new(), plain: BTreeMap::new(), files: Vec::new() };
        for (name, value) in std::env::vars_os() {
            if value.as_bytes().starts_with(SCHEME.as_bytes()) {
                let text = value
                    .to_str()
                    .ok_or_else(|| usage(t!("$%{name}: no UTF-8", name = name.to_string_lossy()), "bulla://NAME"))?;
                plan.secret(&name, text, "")?;
            }
        }
        for file in &run.env_file {
            let named = |e: String| Failure::local(locale::about(file.display(), e));
            let bytes = Zeroizing::new(std::fs::read(file).map_err(Failure::of_file(file))?);
            let text = text::of(bytes).map_err(named)?;
            for (name, value) in dotenv::parse(&text).map_err(named)? {
                let value = Zeroizing::new(value);
                check_name(&name)?;
                if value.contains('\0') {
                    return Err(named(t!("%{name} has a NUL, which no variable can have", name = name).into_owned()));
                }
                if value.starts_with(SCHEME) {
                    plan.secret(OsStr::new(&name), &value, &file.display().to_string())?;
                } else {
                    plan.secret.remove(OsStr::new(&name));
                    plan.plain.insert(name.into(), value);
                }
            }
        }
        for (name, reference) in &run.env {
            check_name(name)?;
            plan.secret(OsStr::new(name), reference, "--env")?;
        }
        plan.references = plan.secret.values().cloned().collect();
        for (target, reference) in &run.file {
            let target = if target.contains('/') {
                if run.watch.is_some() || run.mask {
                    return Err(usage(
                        t!(
                            "--file %{path}: a link leads to the files of one process, and with --watch and --mask there are several",
                            path = target
                        ),
                        &t!("--file VAR=NAME sets a variable to the file's path"),
                    ));
                }
                Target::Link(PathBuf::from(target))
            } else {
                check_name(target)?;
                Target::Variable(target.clone())
            };
            let parsed =
                Reference::parse(reference).map_err(|e| usage(locale::about("--file", e), "VAR=NAME[#FIELD][@VERSION]"))?;
            plan.references.push(parsed);
            plan.files.push(target);
        }
        Ok(plan)
    }

    fn secret(&mut self, variable: &OsStr, reference: &str, from: &str) -> Result<(), Failure> {
        let place = if from.is_empty() { format!("${}", variable.to_string_lossy()) } else { from.to_owned() };
        let parsed =
            Reference::parse(reference).map_err(|e| usage(locale::about(&place, e), "bulla://NAME[#FIELD][@VERSION]"))?;
        self.plain.remove(variable);
        self.secret.insert(variable.to_owned(), parsed);
        Ok(())
    }

    /// The files, in memory.
    pub(super) fn files(&self, values: &[Value], sealed: bool) -> Result<Vec<MemoryFile>, Failure> {
        let file = |value: &Value| {
            let file = MemoryFile::new(value)?;
            if sealed {
                file.seal()?;
            }
            Ok(file)
        };
        self.of_files(values).iter().map(file).collect()
    }

    /// The values of the files, in their order.
    pub(super) fn of_files<'v>(&self, values: &'v [Value]) -> &'v [Value] {
        &values[self.secret.len()..]
    }

    /// The program, with its environment.
    pub(super) fn command(&self, values: &[Value], files: &[MemoryFile]) -> Result<Command, Failure> {
        let mut command = program(self.run);
        for (name, value) in &self.plain {
            command.env(name, value.as_str());
        }
        for ((name, reference), value) in self.secret.iter().zip(values) {
            let bytes = value.expose();
            if bytes.contains(&0) {
                let failure = Failure::new(t!(
                    "%{reference}: the value has a zero byte, which no variable can have",
                    reference = reference
                ));
                return Err(failure.class(Class::Usage).hint(format!("--file {}={reference}", name.to_string_lossy())));
            }
            command.env(name, OsStr::from_bytes(bytes));
        }
        for (target, file) in self.files.iter().zip(files) {
            if let Target::Variable(name) = target {
                command.env(name, file.path());
            }
        }
        Ok(command)
    }

    /// Links that lead to the files of a process, until they are dropped; whoever becomes the program keeps them.
    pub(super) fn link(&self, files: &[MemoryFile], process: u32) -> Result<Links, Failure> {
        let mut links = Links::default();
        for (target, file) in self.files.iter().zip(files) {
            if let Target::Link(path) = target {
                links.make(path, file, process)?;
            }
        }
        Ok(links)
    }
}

/// A name that an environment can have.
fn check_name(name: &str) -> Result<(), Failure> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(usage(t!("%{name} is no name of a variable", name = format!("{name:?}")), "VAR=NAME[#FIELD][@VERSION]"));
    }
    Ok(())
}
