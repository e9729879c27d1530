//! The arguments of `bulla secret`. No value is among them: values come from standard input, a file, or a terminal that does not show
//! them.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::words::{self, named, pair};
use super::{Export, Import};
use crate::base::locale::t;

/// `bulla secret`
#[derive(Subcommand)]
pub enum Secret {
    /// Print a value: the bytes alone, with a line's end on a terminal only.
    Get(Get),
    /// Write a value: a new secret, or a new version of one that there is.
    Put(Put),
    /// Change fields of a value that is a JSON object, as a new version: FIELD=@FILE, FIELD=- (standard input, or asked for), FIELD!
    /// removes.
    Patch {
        /// The secret.
        #[arg(value_parser = named)]
        name: String,
        /// The changes.
        #[arg(required = true, value_name = "CHANGE", value_parser = named)]
        changes: Vec<String>,
        /// The id of the new version; without it, one of the time.
        #[arg(long, value_name = "ID", value_parser = named)]
        version_id: Option<String>,
    },
    /// The names of secrets.
    List {
        /// Only those that begin so.
        #[arg(value_parser = named)]
        prefix: Option<String>,
        /// One level: what follows the next slash is one line.
        #[arg(short = 'd', long, overrides_with = "recursive")]
        directories: bool,
        /// All levels, as without --directories.
        #[arg(short, long, overrides_with = "directories")]
        recursive: bool,
        /// More of each: type, times.
        #[arg(short, long)]
        long: bool,
    },
    /// The secrets with a word in their name or tags, in any letter case.
    Find {
        /// The word.
        #[arg(value_parser = named)]
        word: String,
    },
    /// What is known of a secret, without its value.
    Show {
        /// The secret.
        #[arg(value_parser = named)]
        name: String,
    },
    /// The versions of a secret, oldest first, without their values.
    Versions {
        /// The secret.
        #[arg(value_parser = named)]
        name: String,
    },
    /// Which fields differ between two versions; no values.
    Diff {
        /// The secret.
        #[arg(value_parser = named)]
        name: String,
        /// One version: its id, or a label.
        #[arg(value_parser = named)]
        from: String,
        /// The other; the current one where it is not named.
        #[arg(default_value = "ACSCurrent", value_parser = named)]
        to: String,
    },
    /// Change a value in an editor ($VISUAL, $EDITOR, else vi), in memory; saved as a new version if it is another.
    Edit {
        /// The secret.
        #[arg(value_parser = named)]
        name: String,
        /// The id of the new version; without it, one of the time.
        #[arg(long, value_name = "ID", value_parser = named)]
        version_id: Option<String>,
    },
    /// Make an earlier version the current one again.
    Rollback {
        /// The secret.
        #[arg(value_parser = named)]
        name: String,
        /// Which; without it, the one before the current one.
        #[arg(long, value_name = "ID", value_parser = named)]
        version: Option<String>,
    },
    /// Let the server make a new password for a managed secret.
    Rotate {
        /// The secret.
        #[arg(value_parser = named)]
        name: String,
        /// The id of the new version; without it, one of the time.
        #[arg(long, value_name = "ID", value_parser = named)]
        version_id: Option<String>,
    },
    /// Delete a secret: after some days, in which it can be restored, or at once. Asks for its name, unless --yes.
    Delete {
        /// The secret.
        #[arg(value_parser = named)]
        name: String,
        /// After so many days (7d to 30d); 30d where nothing is said.
        #[arg(long = "in", value_name = "DAYS", value_parser = days, conflicts_with = "now")]
        after: Option<u32>,
        /// At once and for ever.
        #[arg(long)]
        now: bool,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Take a deletion back, while its days last.
    Restore {
        /// The secret.
        #[arg(value_parser = named)]
        name: String,
    },
    /// Show tags, set them (KEY=VALUE), take them away (KEY!).
    Tag {
        /// The secret.
        #[arg(value_parser = named)]
        name: String,
        /// The changes.
        #[arg(value_name = "CHANGE", value_parser = named)]
        changes: Vec<String>,
    },
    /// Write the secrets of a file (.env, JSON, a manifest of Kubernetes), of a Vault, or of another server of this API. Killed and started
    /// again it goes on, and writes nothing twice.
    Import(Import),
    /// Write secrets as .env, JSON, or a manifest of Kubernetes.
    Export(Export),
    /// Show the policy of a secret itself, or set it.
    Policy {
        /// The secret.
        #[arg(value_parser = named)]
        name: String,
        /// The file with the new one; - for standard input.
        #[arg(long, value_name = "FILE")]
        set: Option<PathBuf>,
    },
}

/// Which version of a secret.
#[derive(Args)]
pub struct Which {
    /// This version, by its id.
    #[arg(long, value_name = "ID", conflicts_with = "stage", value_parser = named)]
    pub version: Option<String>,
    /// The version with this label; ACSCurrent where nothing is said.
    #[arg(long, value_name = "LABEL", value_parser = named)]
    pub stage: Option<String>,
}

/// `bulla secret get`
#[derive(Args)]
pub struct Get {
    /// The secret.
    #[arg(value_parser = named)]
    pub name: String,
    /// Which version.
    #[command(flatten)]
    pub which: Which,
    /// One field of a value that is a JSON object; dots lead deeper.
    #[arg(long, value_name = "NAME", value_parser = named)]
    pub field: Option<String>,
    /// Write the bytes into this file, which only its owner may read; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `bulla secret put`
#[derive(Args)]
#[command(group = ArgGroup::new("source").args(["stdin", "file", "generate"]))]
pub struct Put {
    /// The secret.
    #[arg(value_parser = named)]
    pub name: String,
    /// A dash: the value is standard input, as it is where that is a pipe; a terminal asks for it and does not show it. The end of a single
    /// line is no part of the value.
    #[arg(value_name = "-", value_parser = ["-"])]
    pub stdin: Option<String>,
    /// The value is this file, byte for byte.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The value is a random password of so many characters (8 to 128), which the server makes.
    #[arg(long, value_name = "LENGTH", value_parser = clap::value_parser!(u32).range(8..=128))]
    pub generate: Option<u32>,
    /// The value is binary, even where it could be text.
    #[arg(long)]
    pub binary: bool,
    /// The id of the new version; without it, one of the time.
    #[arg(long, value_name = "ID", value_parser = named)]
    pub version_id: Option<String>,
    /// Only if this version is the current one.
    #[arg(long, value_name = "ID", conflicts_with = "create", value_parser = named)]
    pub if_version: Option<String>,
    /// Only if there is no such secret.
    #[arg(long)]
    pub create: bool,
    /// A new secret's key: id, alias/NAME or ARN; without it, the account's default key.
    #[arg(long, value_name = "KEY", value_parser = named)]
    pub key: Option<String>,
    /// A new secret's description.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// A tag, set on the secret.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = pair)]
    pub tags: Vec<(String, String)>,
}

/// The window in which a deletion can be taken back.
fn days(text: &str) -> Result<u32, String> {
    words::days(text, 7..=30).map_err(|range| t!("%{range}; --now deletes at once", range = range).into_owned())
}
