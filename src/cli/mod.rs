//! The command line.
//!
//! Owns: names of commands and their arguments, one file for each group; what is said of a line that is none of ours. No argument is
//! a secret. Must not know: what the commands do. Used by: main, admin.

mod access;
mod access_key;
mod account;
mod audit;
mod backup;
mod connection;
mod dev;
mod key;
mod pages;
mod policy;
mod remote;
mod run;
mod secret;
mod usage;
mod user;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use access::{Access, Question};
pub use access_key::AccessKey;
pub use account::Account;
pub use audit::{Audit, Form, Logs, Wanted};
pub use backup::{Backup, BackupAction, Inventory, InventoryAction};
pub use connection::{Connection, Leading};
pub use dev::Dev;
pub use key::{Input, Key, Pair as KeyPair, Usage as KeyUsage};
pub use pages::{completion, man};
pub use policy::Policy;
pub use remote::Remote;
pub use run::{Inject, Run, Watch};
pub use secret::{Get, Put, Secret, Which};
pub use usage::{Words, parse};
pub use user::User;

use crate::base::ids::UserName;

/// A secret store that speaks the API of Alibaba Cloud KMS, with its master keys in a PKCS#11 token.
///
/// Exit codes: 0 done; 1 another reason, or a proof or check that found a fault; 2 the command line is wrong; 3 not found;
/// 4 not permitted; 5 exists already or in use; 6 token, database or server is away; 7 a file, folder or setting on this host;
/// 8 the token refuses the PIN: not to be started again by itself.
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

/// Which deployment a command is for.
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
pub enum Command {
    /// Try it: a SoftHSM token, a SQLite file and a root access key in a folder, plain HTTP on loopback.
    Dev(Dev),
    /// First start on a real token: makes the system keys, the first account and its root access key, shown once.
    Init {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
        /// Name of the first account.
        #[arg(long, default_value = "main")]
        account: UserName,
    },
    /// Serve the API.
    Serve {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
    },
    /// Say what a start would refuse, and what will be wrong soon, without serving.
    Check {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
    },
    /// Prove the whole store: schema, every row, what rows name, token objects, audit log. Beside a running service, or on a copy.
    Verify {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
    },
    /// Copy the database into a folder, beside a running service, with a signed list of the token objects that it needs.
    Backup(Backup),
    /// List every key version as database and token know it; signed, for auditors.
    Inventory(Inventory),
    /// Accept a database that was put back to an earlier state on purpose; nothing else does. Without --accept it shows what that has
    /// and what is lost. Stop every node first.
    Restore {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
        /// A folder of `bulla backup`, which takes the place of the database.
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
        /// Accept it. Recorded in the audit log.
        #[arg(long)]
        accept: bool,
    },
    /// Make the system keys before witnesses, unless that was done, and print a transcript for them to sign: module, token, every
    /// attribute, the audit key.
    Ceremony {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
    },
    /// Give a server that waits for it the PIN of its token: asked at the terminal, or the first line of standard input.
    Unlock {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
    },
    /// Bring the database's schema to this program's version.
    Migrate {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
    },
    /// The level that rows are written at, and which nodes serve which levels.
    Level {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
        /// Raise it by one, if every node serves the next. There is no way back.
        #[arg(long)]
        raise: bool,
    },
    /// The clock of this machine, where a server does not believe it.
    Clock {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
        /// What to do.
        #[command(subcommand)]
        action: Clock,
    },
    /// Accounts (tenants).
    Account {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
        /// What to do.
        #[command(subcommand)]
        action: Account,
    },
    /// Users of an account.
    User {
        /// Whose.
        #[command(flatten)]
        scope: Scope,
        /// What to do.
        #[command(subcommand)]
        action: User,
    },
    /// Access keys of users and of the account's root.
    AccessKey {
        /// Whose.
        #[command(flatten)]
        scope: Scope,
        /// What to do.
        #[command(subcommand)]
        action: AccessKey,
    },
    /// Policies, and who has them.
    Policy {
        /// Whose.
        #[command(flatten)]
        scope: Scope,
        /// What to do.
        #[command(subcommand)]
        action: Policy,
    },
    /// Who may do what, as the policies decide it.
    Access {
        /// Whose.
        #[command(flatten)]
        scope: Scope,
        /// What to find out.
        #[command(subcommand)]
        action: Access,
    },
    /// The audit log.
    Audit {
        /// What to do.
        #[command(subcommand)]
        action: Audit,
    },
    /// The commands that ask a server.
    #[command(flatten)]
    Remote(Remote),
    /// Ask a server for a page (http://HOST:PORT/readyz) and fail unless it answers 200; for health checks in images without curl.
    Probe {
        /// The page.
        url: String,
    },
    /// Print the completion of a shell, to be sourced or installed.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a folder.
    #[command(hide = true)]
    Man {
        /// The folder.
        folder: PathBuf,
    },
}

/// `bulla clock`
#[derive(Subcommand)]
pub enum Clock {
    /// Say that the clock is right: the server beside goes on with deletions, rotations and the removal of nonces.
    Accept,
}

impl Command {
    /// The data folder of `bulla dev` that an administration command is for.
    pub fn data_folder(&self) -> Option<&std::path::Path> {
        let place = match self {
            Command::Init { place, .. }
            | Command::Serve { place }
            | Command::Check { place }
            | Command::Level { place, .. }
            | Command::Clock { place, .. }
            | Command::Verify { place }
            | Command::Restore { place, .. }
            | Command::Ceremony { place }
            | Command::Unlock { place }
            | Command::Migrate { place }
            | Command::Account { place, .. }
            | Command::User { scope: Scope { place, .. }, .. }
            | Command::AccessKey { scope: Scope { place, .. }, .. }
            | Command::Policy { scope: Scope { place, .. }, .. }
            | Command::Access { scope: Scope { place, .. }, .. }
            | Command::Audit {
                action:
                    Audit::PublicKey { place }
                    | Audit::Verify { logs: Logs { place, .. } }
                    | Audit::Search { logs: Logs { place, .. }, .. },
            } => place,
            Command::Backup(Backup { place, action: None, .. })
            | Command::Backup(Backup { action: Some(BackupAction::Verify { place, .. }), .. })
            | Command::Inventory(Inventory { place, .. }) => place,
            Command::Dev(_) | Command::Remote(_) | Command::Probe { .. } | Command::Completion { .. } | Command::Man { .. } => {
                return None;
            }
        };
        place.data.as_deref()
    }

    /// Whether it goes on until it is stopped, and so logs what happens; the others only say how they ended.
    pub fn serves(&self) -> bool {
        matches!(self, Command::Dev(_) | Command::Serve { .. })
    }
}
