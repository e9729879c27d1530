//! The arguments of `bulla secret import` and `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::words::pair;

/// `bulla secret import`
#[derive(Args)]
pub struct Import {
    /// The file; - is standard input.
    pub file: PathBuf,
    /// What it is; by its name and its first words where nothing is said.
    #[arg(long)]
    pub format: Option<Format>,
    /// What all names begin with, before those of the file.
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    pub prefix: String,
    /// Write secrets that have another value as new versions; without it they stay, are named, and the exit code is 5.
    #[arg(long)]
    pub overwrite: bool,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// The key of new secrets: id, alias/NAME or ARN; without it, the account's default key.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// A tag of new secrets.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = pair)]
    pub tags: Vec<(String, String)>,
}

/// `bulla secret export`
#[derive(Args)]
pub struct Export {
    /// The secrets.
    #[arg(required_unless_present = "prefix", conflicts_with = "prefix")]
    pub names: Vec<String>,
    /// All whose names begin so, without that beginning.
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// What to write.
    #[arg(long, default_value = "json")]
    pub format: Format,
    /// Into this file, for its owner alone; else standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What the manifest's Secret is called.
    #[arg(long, value_name = "NAME", default_value = "bulla")]
    pub name: String,
}

/// How many secrets stand in one file.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub enum Format {
    /// Lines NAME=VALUE.
    Env,
    /// An object: texts by name, what is no text as JSON, bytes as {"$binary": BASE64}.
    Json,
    /// A manifest of Kubernetes: Secrets, in YAML or JSON.
    K8s,
}
