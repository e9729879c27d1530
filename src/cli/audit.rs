//! The arguments of `bulla audit`.

use std::path::PathBuf;

use clap::Subcommand;

use super::Place;

/// `bulla audit`
#[derive(Subcommand)]
pub enum Audit {
    /// Proves an audit log: every line, every link, every signature. Needs neither token nor database.
    Verify {
        /// Files in the order they were written, or a folder's log.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The public half of AUD (PEM), from `bulla audit public-key`.
        #[arg(long, value_name = "PEM")]
        public_key: PathBuf,
    },
    /// Prints the public half of AUD (PEM).
    PublicKey {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
    },
}
