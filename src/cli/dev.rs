//! The arguments of `bulla dev`.

use std::path::PathBuf;

use clap::Args;

use crate::base::ids::AccessKeyId;
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
    /// Allow an address beyond loopback, as in a container: everyone who reaches it can try the access key.
    #[arg(long)]
    pub listen_to_everyone: bool,
    /// Serve TLS, with a certificate authority made for this folder.
    #[arg(long)]
    pub tls: bool,
    /// A PostgreSQL database instead of a SQLite file.
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// A root access key of your choice, so that a compose file can name it: BLLA and 20 letters and digits.
    #[arg(long, value_name = "ID", requires = "access_key_secret_file")]
    pub access_key_id: Option<AccessKeyId>,
    /// The file with its secret, one line.
    #[arg(long, value_name = "FILE", requires = "access_key_id")]
    pub access_key_secret_file: Option<PathBuf>,
    /// Create the secrets of this file: NAME=VALUE lines, or a JSON object. Those that exist stay as they are.
    #[arg(long, value_name = "FILE")]
    pub seed: Option<PathBuf>,
    /// Remove the data folder at the end.
    #[arg(long, hide = true)]
    pub temporary: bool,
}
