//! The command line.
//!
//! Owns: names of commands and their arguments. No argument is a secret. Used by: main.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::base::ids::{AccessKeyId, PolicyName, UserName};

/// A secret store that speaks the API of Alibaba Cloud KMS, with its master keys in a PKCS#11 token.
#[derive(Parser)]
#[command(version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which deployment a command is for, and how it prints.
#[derive(Args, Clone)]
pub struct Place {
    /// The configuration file.
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "data")]
    pub config: Option<PathBuf>,
    /// The data folder of `bulla dev`.
    #[arg(long, value_name = "DIR", global = true)]
    pub data: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
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
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Try configuration, token, database and audit folder, and say what is wrong, without serving.
    Check {
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
    /// The audit log.
    Audit {
        /// What to do.
        #[command(subcommand)]
        action: Audit,
    },
}

/// `bulla dev`
#[derive(Args, Clone)]
pub struct Dev {
    /// Keep everything in this folder; without it, in a temporary one.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address and port; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// A PostgreSQL database instead of a SQLite file.
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// Print one line of JSON once ready.
    #[arg(long)]
    pub json: bool,
    /// Remove the data folder at the end.
    #[arg(long, hide = true)]
    pub temporary: bool,
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

/// `bulla account`
#[derive(Subcommand)]
pub enum Account {
    /// Makes an account with a root access key, shown once.
    Create {
        /// Its name.
        name: UserName,
    },
    /// Lists accounts.
    List,
    /// Accepts the account's access keys again.
    Enable {
        /// Id or name.
        account: String,
    },
    /// Refuses all access keys of the account.
    Disable {
        /// Id or name.
        account: String,
    },
    /// Deletes an account that owns no keys and secrets.
    Delete {
        /// Id or name.
        account: String,
    },
}

/// `bulla user`
#[derive(Subcommand)]
pub enum User {
    /// Makes a user; it may do nothing until a policy is attached.
    Create {
        /// Its name.
        name: UserName,
    },
    /// Lists users.
    List,
    /// Accepts the user's access keys again.
    Enable {
        /// Its name.
        name: UserName,
    },
    /// Refuses all access keys of the user.
    Disable {
        /// Its name.
        name: UserName,
    },
    /// Deletes a user with its access keys and attachments.
    Delete {
        /// Its name.
        name: UserName,
    },
}

/// `bulla access-key`
#[derive(Subcommand)]
pub enum AccessKey {
    /// Makes an access key; its secret is shown once.
    Create {
        /// The user; without it, the account's root.
        #[arg(long)]
        user: Option<UserName>,
    },
    /// Lists access keys.
    List {
        /// The user; without it, the account's root.
        #[arg(long)]
        user: Option<UserName>,
    },
    /// Accepts the access key again.
    Enable {
        /// Its id.
        id: AccessKeyId,
    },
    /// Refuses the access key.
    Disable {
        /// Its id.
        id: AccessKeyId,
    },
    /// Deletes an access key.
    Delete {
        /// Its id.
        id: AccessKeyId,
    },
}

/// `bulla policy`
#[derive(Subcommand)]
pub enum Policy {
    /// Makes a policy from a document.
    Create {
        /// Its name.
        name: PolicyName,
        /// File with the document (JSON).
        #[arg(long, value_name = "FILE")]
        document: PathBuf,
    },
    /// Lists policies, the system policies included.
    List,
    /// Deletes a policy that is attached to nobody.
    Delete {
        /// Its name.
        name: PolicyName,
    },
    /// Attaches a policy, or a system policy, to a user.
    Attach {
        /// The policy.
        name: PolicyName,
        /// The user.
        #[arg(long)]
        user: UserName,
    },
    /// Takes a policy off a user.
    Detach {
        /// The policy.
        name: PolicyName,
        /// The user.
        #[arg(long)]
        user: UserName,
    },
}

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
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints the public half of AUD (PEM).
    PublicKey {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
    },
}

impl Command {
    /// The data folder of `bulla dev` that an administration command is for.
    pub fn data_folder(&self) -> Option<&std::path::Path> {
        let place = match self {
            Command::Init { place, .. }
            | Command::Check { place }
            | Command::Migrate { place }
            | Command::Account { place, .. }
            | Command::User { scope: Scope { place, .. }, .. }
            | Command::AccessKey { scope: Scope { place, .. }, .. }
            | Command::Policy { scope: Scope { place, .. }, .. }
            | Command::Audit { action: Audit::PublicKey { place } } => place,
            Command::Dev(_) | Command::Serve { .. } | Command::Audit { action: Audit::Verify { .. } } => return None,
        };
        place.data.as_deref()
    }
}
