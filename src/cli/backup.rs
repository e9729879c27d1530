//! The arguments of `bulla backup` and `bulla inventory`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Place;

/// `bulla backup`
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Backup {
    /// Which deployment.
    #[command(flatten)]
    pub place: Place,
    /// The folder that is made for it.
    #[arg(long, value_name = "DIR", required = true)]
    pub to: Option<PathBuf>,
    /// Or what to do with one.
    #[command(subcommand)]
    pub action: Option<BackupAction>,
}

/// `bulla backup ACTION`
#[derive(Subcommand)]
pub enum BackupAction {
    /// The drill: proves a backup, and says which keys the token here lacks for it and which secrets hang on them.
    Verify {
        /// Its folder.
        folder: PathBuf,
        /// Which deployment.
        #[command(flatten)]
        place: Place,
    },
}

/// `bulla inventory`
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Inventory {
    /// Which deployment.
    #[command(flatten)]
    pub place: Place,
    /// The file that is written, signed: for auditors.
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// Or what to do with one.
    #[command(subcommand)]
    pub action: Option<InventoryAction>,
}

/// `bulla inventory ACTION`
#[derive(Subcommand)]
pub enum InventoryAction {
    /// Proves that an inventory was signed by the deployment and not changed since. Needs neither token nor database.
    Verify {
        /// The file.
        file: PathBuf,
        /// The public half of AUD (PEM), from `bulla audit public-key`.
        #[arg(long, value_name = "PEM")]
        public_key: PathBuf,
    },
}
