//! The arguments of `bulla dev`.

use std::path::PathBuf;

use clap::Args;

use crate::base::listen::Listen;

/// `bulla dev`
#[derive(Args, Clone)]
pub struct Dev {
    /// Keep everything in this folder; without it, in a temporary one.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address and port, or a port alone; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub listen: Listen,
    /// A PostgreSQL database instead of a SQLite file.
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// Remove the data folder at the end.
    #[arg(long, hide = true)]
    pub temporary: bool,
}
