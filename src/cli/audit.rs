//! The arguments of `bulla audit`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Place;
use super::words::named;

/// `bulla audit`
#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one is made in a process")]
pub enum Audit {
    /// Proves audit logs: every line, every link, every signature. With --public-key it needs neither token nor database.
    Verify {
        /// Which logs.
        #[command(flatten)]
        logs: Logs,
    },
    /// Finds records, and proves the logs that they are in, in one pass.
    Search {
        /// Which logs.
        #[command(flatten)]
        logs: Logs,
        /// Which records.
        #[command(flatten)]
        wanted: Wanted,
        /// The form of the records; --json is `--format json`.
        #[arg(long, value_enum, default_value_t = Form::Table)]
        format: Form,
        /// End after so many records.
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Prints the public half of AUD (PEM), and its fingerprint.
    PublicKey {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
    },
}

/// Which logs, and what proves them.
#[derive(Args, Clone)]
pub struct Logs {
    /// Files, or folders with the logs of a node, of any number of nodes; without any, the folder of the deployment.
    #[arg(value_name = "FILE|DIR")]
    pub files: Vec<PathBuf>,
    /// The public half of AUD (PEM), from `bulla audit public-key`; without it, the deployment's token is asked.
    #[arg(long, value_name = "PEM")]
    pub public_key: Option<PathBuf>,
    /// Which deployment.
    #[command(flatten)]
    pub place: Place,
}

/// Which records; each condition narrows. A name that ends in * stands for all that begin so.
#[derive(Args, Clone, Default)]
pub struct Wanted {
    /// Done to this secret.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["key", "resource"], value_parser = named)]
    pub secret: Option<String>,
    /// Done to this master key.
    #[arg(long, value_name = "ID", conflicts_with = "resource", value_parser = named)]
    pub key: Option<String>,
    /// Done to this: an ARN, or its end from the last colon on.
    #[arg(long, value_name = "ARN", value_parser = named)]
    pub resource: Option<String>,
    /// By them: a user's name, user/NAME, access-point/NAME, root, or an access key id.
    #[arg(long, value_name = "WHO", value_parser = named)]
    pub who: Option<String>,
    /// This operation.
    #[arg(long, value_name = "ACTION", value_parser = named)]
    pub action: Option<String>,
    /// Of this account.
    #[arg(long, value_name = "ID", value_parser = named)]
    pub account: Option<String>,
    /// From this address.
    #[arg(long, value_name = "IP")]
    pub source_ip: Option<IpAddr>,
    /// This request.
    #[arg(long, value_name = "ID", value_parser = named)]
    pub request_id: Option<String>,
    /// Not before: a time (2026-11-28T04:10:00Z), a day (2026-11-28), or so long ago (7d, 12h, 30m).
    #[arg(long, value_name = "TIME", value_parser = named)]
    pub since: Option<String>,
    /// Before; as --since.
    #[arg(long, value_name = "TIME", value_parser = named)]
    pub until: Option<String>,
    /// Only what was refused.
    #[arg(long)]
    pub denied: bool,
    /// Only what ended with an error.
    #[arg(long)]
    pub failed: bool,
}

/// How records are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Columns.
    Table,
    /// Comma-separated, with a line of names (RFC 4180).
    Csv,
    /// A JSON object a line.
    Json,
}
