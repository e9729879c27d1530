//! The arguments of `bulla agent`.

use std::path::PathBuf;

use clap::Args;

use super::Connection;

/// `bulla agent`
#[derive(Args, Clone)]
pub struct Agent {
    /// Which server.
    #[command(flatten)]
    pub connection: Connection,
    /// What to keep where (TOML).
    #[arg(long, value_name = "FILE", default_value = "/etc/bulla-agent/agent.toml")]
    pub config: PathBuf,
    /// Write the files once and end; the exit code says whether all of them are there.
    #[arg(long)]
    pub once: bool,
}
