//! The arguments of `bulla run` and `bulla inject`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Connection;
use super::words::pair;

/// `bulla run`
#[derive(Args)]
pub struct Run {
    /// Which server.
    #[command(flatten)]
    pub connection: Connection,
    /// A variable and the value that it gets: `VAR=NAME[#FIELD][@VERSION]`.
    #[arg(short, long = "env", value_name = "VAR=SECRET", value_parser = pair)]
    pub env: Vec<(String, String)>,
    /// A file of NAME=VALUE lines; values that begin with bulla:// are replaced, others set as they are.
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// A value as a file in memory: `VAR=NAME[#FIELD][@VERSION]` sets VAR to its path, PATH=… (with a slash) makes a link to it.
    #[arg(long, value_name = "VAR|PATH=SECRET", value_parser = pair)]
    pub file: Vec<(String, String)>,
    /// Stay, and when a secret has a new version, start the program again, or send it HUP (its files are new then).
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "restart")]
    pub watch: Option<Watch>,
    /// How often to look for new versions with --watch, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval: u64,
    /// Stay, and replace the values in what the program prints.
    #[arg(long)]
    pub mask: bool,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// What a new version does.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Watch {
    /// The program is ended by TERM and started again.
    Restart,
    /// The program gets HUP.
    Hup,
}

/// `bulla inject`
#[derive(Args)]
pub struct Inject {
    /// Which server.
    #[command(flatten)]
    pub connection: Connection,
    /// The template, with `{{ bulla://NAME[#FIELD][@VERSION] }}` where values go; - is standard input.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub input: PathBuf,
    /// The file to write, for its owner alone, whole or not at all; - is standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
}
