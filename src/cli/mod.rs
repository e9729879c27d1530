//! The command line.
//!
//! Owns: names of commands and their arguments, one file for each group; what is said of a line that is none of ours. No argument is
//! a secret. Must not know: what the commands do. Used by: main, admin.

#[cfg(feature = "server")]
mod access;
#[cfg(feature = "server")]
mod access_key;
#[cfg(feature = "server")]
mod account;
mod agent;
#[cfg(feature = "server")]
mod audit;
#[cfg(feature = "server")]
mod backup;
#[cfg(feature = "server")]
mod bearer_token;
mod connection;
#[cfg(feature = "server")]
mod dev;
#[cfg(feature = "server")]
mod host;
mod key;
mod names;
mod pages;
#[cfg(feature = "server")]
mod policy;
mod remote;
mod run;
mod secret;
mod spoken;
#[cfg(test)]
mod tests;
mod transfer;
mod usage;
#[cfg(feature = "server")]
mod user;
mod words;
mod wrong;

#[cfg(feature = "server")]
use std::path::PathBuf;

#[cfg(feature = "server")]
use clap::Args;
use clap::{Parser, Subcommand};

#[cfg(feature = "server")]
pub use access::{Access, Question};
#[cfg(feature = "server")]
pub use access_key::AccessKey;
#[cfg(feature = "server")]
pub use account::Account;
pub use agent::Agent;
#[cfg(feature = "server")]
pub use audit::{Audit, Form, Logs, Wanted};
#[cfg(feature = "server")]
pub use backup::{Backup, BackupAction, Inventory, InventoryAction};
#[cfg(feature = "server")]
pub use bearer_token::BearerToken;
pub use connection::{Connection, Leading};
#[cfg(feature = "server")]
pub use dev::Dev;
#[cfg(feature = "server")]
pub use host::{Clock, Host};
pub use key::{Input, Key, Pair as KeyPair, Usage as KeyUsage};
pub use names::{Names, names};
pub use pages::{Pages, completion, man};
#[cfg(feature = "server")]
pub use policy::Policy;
pub use remote::Remote;
pub use run::{Inject, Run, Watch};
pub use secret::{Get, Put, Secret, Which};
pub use transfer::{Export, Format, Import};
pub use usage::{Words, parse};
#[cfg(feature = "server")]
pub use user::User;

/// A secret store that speaks the API of Alibaba Cloud KMS, with its master keys in a PKCS#11 token.
///
/// Exit codes: 0 done; 1 another reason, or a proof or check that found a fault; 2 the command line is wrong; 3 not found;
/// 4 not permitted; 5 exists already or in use; 6 token, database or server is away; 7 a file, folder or setting on this host;
/// 8 the token refuses the PIN: not to be started again by itself. `bulla run`: the program's own; 126 it cannot be run, 127 there is none.
#[derive(Parser)]
#[command(version)]
pub struct Cli {
    /// Print JSON, reasons of failures included.
    #[arg(long, global = true, display_order = 900)]
    pub json: bool,
    /// Which server, where it stands before the command.
    #[command(flatten)]
    pub leading: Leading,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Whether what it says is said to people in their language: neither JSON nor a command of the server's own host, whose words are
    /// those of its log.
    pub fn is_for_people(&self) -> bool {
        #[cfg(feature = "server")]
        if matches!(self.command, Command::Host(_)) {
            return false;
        }
        !self.json
    }
}

/// Which deployment a command is for.
#[cfg(feature = "server")]
#[derive(Args, Clone, Default)]
pub struct Place {
    /// The configuration file; without it, $BULLA_CONFIG, then /etc/bulla/bulla.toml.
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "data")]
    pub config: Option<PathBuf>,
    /// The data folder of `bulla dev`.
    #[arg(long, value_name = "DIR", global = true)]
    pub data: Option<PathBuf>,
}

/// A deployment and one of its accounts.
#[cfg(feature = "server")]
#[derive(Args, Clone)]
pub struct Scope {
    /// Which deployment.
    #[command(flatten)]
    pub place: Place,
    /// The account, by id or name; not needed while there is only one.
    #[arg(long, value_name = "ACCOUNT", global = true)]
    pub account: Option<String>,
}

/// The table of commands.
#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one is made in a process")]
pub enum Command {
    /// The commands of the server's own host.
    #[cfg(feature = "server")]
    #[command(flatten)]
    Host(Host),
    /// The commands that ask a server.
    #[command(flatten)]
    Remote(Remote),
    /// What is made of this table.
    #[command(flatten)]
    Pages(Pages),
}
