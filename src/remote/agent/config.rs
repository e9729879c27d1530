//! What the agent keeps where, as its configuration file says it.

use std::borrow::Cow;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Group, User};
use serde::Deserialize;

use super::super::profile;
use super::super::reference::Reference;
use super::super::template::Template;
use super::hook::Hook;
use crate::base::failure::Failure;
use crate::base::locale::{self, t};

/// Seconds between two reads.
const INTERVAL: RangeInclusive<u64> = 1..=3600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default = "usual_interval")]
    interval_seconds: u64,
    #[serde(default)]
    file: Vec<WrittenFile>,
    socket: Option<WrittenSocket>,
}

fn usual_interval() -> u64 {
    30
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFile {
    path: PathBuf,
    secret: Option<String>,
    template: Option<PathBuf>,
    #[serde(default)]
    format: Option<Form>,
    #[serde(default = "usual_mode")]
    mode: String,
    owner: Option<Account>,
    group: Option<Account>,
    #[serde(default)]
    on_change: Vec<String>,
    signal: Option<String>,
    pid_file: Option<PathBuf>,
}

fn usual_mode() -> String {
    "0400".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSocket {
    path: PathBuf,
    #[serde(default = "usual_socket_mode")]
    mode: String,
    owner: Option<Account>,
    group: Option<Account>,
    #[serde(default)]
    users: Vec<Account>,
    secrets: Vec<String>,
}

fn usual_socket_mode() -> String {
    "0600".to_owned()
}

/// A user or a group.
#[derive(Deserialize)]
#[serde(untagged)]
enum Account {
    Number(u32),
    Name(String),
}

/// How a value stands in a file.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    /// Its bytes.
    #[default]
    Raw,
    /// A line NAME=VALUE for each member of a JSON object.
    Env,
}

/// All of it.
pub(super) struct Config {
    /// Between two reads.
    pub(super) interval: Duration,
    /// The files, in order.
    pub(super) files: Vec<Kept>,
    /// The socket, where there is to be one.
    pub(super) door: Option<Door>,
}

/// A socket at which values can be read.
pub(super) struct Door {
    pub(super) path: PathBuf,
    /// Permissions, as in `chmod`.
    pub(super) mode: u32,
    /// Another than the agent's own.
    pub(super) owner: Option<u32>,
    /// Another than the agent's own.
    pub(super) group: Option<u32>,
    /// Who may ask, beside root and the agent's own user.
    pub(super) users: Vec<u32>,
    /// What they may read: names, and beginnings with * behind them.
    pub(super) secrets: Vec<String>,
}

/// A file that is kept fresh.
pub(super) struct Kept {
    pub(super) path: PathBuf,
    pub(super) content: Content,
    /// Permissions, as in `chmod`.
    pub(super) mode: u32,
    /// Another than the agent's own.
    pub(super) owner: Option<u32>,
    /// Another than the agent's own.
    pub(super) group: Option<u32>,
    /// What happens when a file that was there gets other content.
    pub(super) hook: Option<Hook>,
}

/// What is in a file.
pub(super) enum Content {
    /// One value.
    Value(Reference, Form),
    /// A text with values in it.
    Template(Template),
}

impl Content {
    /// The values that it is made of, in order.
    pub(super) fn references(&self) -> Vec<Reference> {
        match self {
            Content::Value(reference, _) => vec![reference.clone()],
            Content::Template(template) => template.references(),
        }
    }
}

impl Config {
    /// Reads the file, and the templates that it names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(file).map_err(Failure::of_file(file))?;
        let written: Written = profile::parse(&text, file)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let wrong = |reason: String| Failure::local(locale::about(file.display(), reason));
        if !INTERVAL.contains(&written.interval_seconds) {
            return Err(wrong(said(t!(
                "interval_seconds is from %{least} to %{most}",
                least = INTERVAL.start(),
                most = INTERVAL.end()
            ))));
        }
        let mut files: Vec<Kept> = Vec::new();
        for file in written.file {
            let path = file.path.clone();
            let kept = file.kept(folder).map_err(|reason| wrong(locale::about(path.display(), reason)))?;
            if fs::symlink_metadata(&kept.path).is_ok_and(|there| !there.is_file() && !there.is_symlink()) {
                return Err(wrong(locale::about(path.display(), t!("is no file"))));
            }
            if files.iter().any(|other| place(&other.path) == place(&kept.path)) {
                return Err(wrong(said(t!("%{path}: named twice", path = path.display()))));
            }
            files.push(kept);
        }
        let door =
            written.socket.map(WrittenSocket::door).transpose().map_err(|reason| wrong(locale::about("socket", reason)))?;
        if files.is_empty() && door.is_none() {
            return Err(wrong(said(t!("no [[file]] and no [socket], so nothing to do"))));
        }
        Ok(Self { interval: Duration::from_secs(written.interval_seconds), files, door })
    }
}

impl WrittenSocket {
    fn door(self) -> Result<Door, String> {
        if !self.path.is_absolute() || self.path.file_name().is_none() {
            return Err(said(t!("path must be a whole one, beginning with /, and a file's")));
        }
        let mode = u32::from_str_radix(&self.mode, 8).ok().filter(|mode| *mode <= 0o777);
        let mode =
            mode.ok_or_else(|| said(t!("mode = %{mode} is none: \"0600\", \"0660\", …", mode = format!("{:?}", self.mode))))?;
        if self.secrets.is_empty() {
            return Err(said(t!("secrets = [\"NAME\", \"BEGINNING*\"] says what can be read")));
        }
        let users = self.users.into_iter().map(user).collect::<Result<_, _>>()?;
        let (owner, group) = (self.owner.map(user).transpose()?, self.group.map(group).transpose()?);
        Ok(Door { path: self.path, mode, owner, group, users, secrets: self.secrets })
    }
}

impl WrittenFile {
    fn kept(self, folder: &Path) -> Result<Kept, String> {
        if !self.path.is_absolute() || self.path.file_name().is_none() {
            return Err(said(t!("path must be a whole one, beginning with /, and a file's")));
        }
        let content = match (self.secret, self.template) {
            (Some(secret), None) => Content::Value(Reference::parse(&secret)?, self.format.unwrap_or_default()),
            (None, Some(template)) => {
                if self.format.is_some() {
                    return Err(said(t!("format is of a secret, not of a template")));
                }
                let template = folder.join(template);
                let named = |reason: String| locale::about(template.display(), reason);
                let text = fs::read_to_string(&template).map_err(|e| named(locale::os(&e)))?;
                Content::Template(Template::parse(&text).map_err(named)?)
            }
            _ => return Err(said(t!("secret = \"NAME[#FIELD][@VERSION]\", or template = \"FILE\""))),
        };
        let hook = Hook::of(self.on_change, self.signal.as_deref(), self.pid_file)?;
        Ok(Kept {
            path: self.path,
            content,
            mode: mode(&self.mode)?,
            owner: self.owner.map(user).transpose()?,
            group: self.group.map(group).transpose()?,
            hook,
        })
    }
}

/// Which file a path is, however it is written: the folder as the system finds it, and the name there, which may be a link's.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().and_then(|folder| fs::canonicalize(folder).ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

fn said(reason: Cow<'_, str>) -> String {
    reason.into_owned()
}

/// `0440`: who may read, and for whom it is more than that.
fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777 && mode & 0o400 != 0);
    let mode = mode.ok_or_else(|| said(t!("mode = %{mode} is none: \"0400\", \"0440\", …", mode = format!("{text:?}"))))?;
    match mode & 0o007 {
        0 => Ok(mode),
        _ => Err(said(t!("mode = %{mode}: everybody on this host could read the secret", mode = format!("{text:?}")))),
    }
}

fn user(account: Account) -> Result<u32, String> {
    match account {
        Account::Number(number) => Ok(number),
        Account::Name(name) => match User::from_name(&name) {
            Ok(Some(user)) => Ok(user.uid.as_raw()),
            Ok(None) => Err(said(t!("no user %{name} on this host", name = format!("{name:?}")))),
            Err(e) => Err(said(t!("user %{name}: %{reason}", name = format!("{name:?}"), reason = e))),
        },
    }
}

fn group(account: Account) -> Result<u32, String> {
    match account {
        Account::Number(number) => Ok(number),
        Account::Name(name) => match Group::from_name(&name) {
            Ok(Some(group)) => Ok(group.gid.as_raw()),
            Ok(None) => Err(said(t!("no group %{name} on this host", name = format!("{name:?}")))),
            Err(e) => Err(said(t!("group %{name}: %{reason}", name = format!("{name:?}"), reason = e))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("t.tmpl"), "x={{ bulla://a }}{{ bulla://b#f }}").expect("writable");
        let file = folder.path().join("agent.toml");
        fs::write(&file, text).expect("writable");
        let told = |failure: Failure| failure.reason.replace(&format!("{}/", folder.path().display()), "");
        Config::read(&file).map_err(told)
    }

    #[test]
    fn what_can_be_written() {
        let text = r#"
            interval_seconds = 5
            [[file]]
            secret = "app/db#password"
            path = "/run/app/password"
            mode = "0440"
            owner = "root"
            group = 7
            signal = "SIGHUP"
            pid_file = "/run/app.pid"
            [[file]]
            secret = "bulla://app/env"
            format = "env"
            path = "/run/app/env"
            on_change = ["systemctl", "restart", "app"]
            [[file]]
            template = "t.tmpl"
            path = "/run/app/conf"
        "#;
        let config = read(text).expect("sound");
        assert_eq!(config.interval, Duration::from_secs(5));
        let first = &config.files[0];
        assert_eq!((first.mode, first.owner, first.group), (0o440, Some(0), Some(7)));
        assert!(matches!(&first.content, Content::Value(r, Form::Raw) if r.to_string() == "app/db#password"));
        assert_eq!(config.files[1].mode, 0o400);
        let names: Vec<String> = config.files[2].content.references().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a", "b#f"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("", "agent.toml: no [[file]] and no [socket], so nothing to do"),
            (
                "[socket]\npath = \"/a\"\nsecrets = []",
                "agent.toml: socket: secrets = [\"NAME\", \"BEGINNING*\"] says what can be read",
            ),
            (
                "[socket]\npath = \"a\"\nsecrets = [\"x\"]",
                "agent.toml: socket: path must be a whole one, beginning with /, and a file's",
            ),
            ("interval_seconds = 0", "agent.toml: interval_seconds is from 1 to 3600"),
            ("[[file]]\npath = \"/a\"", "agent.toml: /a: secret = \"NAME[#FIELD][@VERSION]\", or template = \"FILE\""),
            (
                "[[file]]\nsecret = \"a\"\npath = \"a\"",
                "agent.toml: a: path must be a whole one, beginning with /, and a file's",
            ),
            (
                "[[file]]\nsecret = \"a\"\npath = \"/a\"\nmode = \"0444\"",
                "agent.toml: /a: mode = \"0444\": everybody on this host could read the secret",
            ),
            (
                "[[file]]\nsecret = \"a\"\npath = \"/a\"\nmode = \"640x\"",
                "agent.toml: /a: mode = \"640x\" is none: \"0400\", \"0440\", …",
            ),
            (
                "[[file]]\nsecret = \"a\"\npath = \"/a\"\nowner = \"no such user\"",
                "agent.toml: /a: no user \"no such user\" on this host",
            ),
            ("[[file]]\nsecret = \"a\"\npath = \"/a\"\n[[file]]\nsecret = \"b\"\npath = \"/a\"", "agent.toml: /a: named twice"),
            ("[[file]]\nsecret = \"a\"\npath = \"/a\"\nsignal = \"HUP\"", "agent.toml: /a: signal and pid_file go together"),
            ("[[file]]\ntemplate = \"none\"\npath = \"/a\"", "agent.toml: /a: none: No such file or directory (os error 2)"),
        ] {
            assert_eq!(read(text).map(drop), Err(reason.to_owned()), "{text}");
        }
        let unknown = read("[[file]]\nsecrt = \"a\"\npath = \"/a\"").map(drop).expect_err("unknown");
        assert!(unknown.contains("line 2") && unknown.contains("secrt"), "{unknown}");
    }
}
