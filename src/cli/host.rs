//! The table of the commands of the server's own host.

use std::path::PathBuf;

use clap::Subcommand;

use super::{
    Access, AccessKey, Account, Audit, Backup, BackupAction, BearerToken, Dev, Inventory, Logs, Place, Policy, Scope, User,
};
use crate::base::ids::UserName;

/// The commands of the server's own host, and the server.
#[derive(Subcommand)]
pub enum Host {
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
    /// Prove the whole store: schema, every row, what rows name, token objects, audit log; values with --open-data-keys. Beside a running service, or on a copy.
    Verify {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
        /// Also unwrap every data key on the token, and decrypt what it protects. Values are not shown. One call to the token each.
        #[arg(long)]
        open_data_keys: bool,
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
    /// Give every row a new MAC, under a key that nobody has seen, and destroy the one before: where somebody may have read the memory of a
    /// node. Without --accept it shows what that ends. Stop every node first.
    Rekey {
        /// Which deployment.
        #[command(flatten)]
        place: Place,
        /// Do it. Recorded in the audit log.
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
    /// Bearer tokens of Vault's API (docs/vault.md).
    Token {
        /// Whose.
        #[command(flatten)]
        scope: Scope,
        /// What to do.
        #[command(subcommand)]
        action: BearerToken,
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
    /// Ask a server for a page (http://HOST:PORT/readyz) and fail unless it answers 200; for health checks in images without curl.
    Probe {
        /// The page.
        url: String,
    },
}

/// `bulla clock`
#[derive(Subcommand)]
pub enum Clock {
    /// Say that the clock is right: the server beside goes on with deletions, rotations and the removal of nonces.
    Accept,
}

impl Host {
    /// The data folder of `bulla dev` that an administration command is for.
    pub fn data_folder(&self) -> Option<&std::path::Path> {
        let place = match self {
            Host::Init { place, .. }
            | Host::Serve { place }
            | Host::Check { place }
            | Host::Level { place, .. }
            | Host::Clock { place, .. }
            | Host::Verify { place, .. }
            | Host::Restore { place, .. }
            | Host::Rekey { place, .. }
            | Host::Ceremony { place }
            | Host::Unlock { place }
            | Host::Migrate { place }
            | Host::Account { place, .. }
            | Host::User { scope: Scope { place, .. }, .. }
            | Host::AccessKey { scope: Scope { place, .. }, .. }
            | Host::Token { scope: Scope { place, .. }, .. }
            | Host::Policy { scope: Scope { place, .. }, .. }
            | Host::Access { scope: Scope { place, .. }, .. }
            | Host::Audit {
                action:
                    Audit::PublicKey { place }
                    | Audit::Verify { logs: Logs { place, .. } }
                    | Audit::Search { logs: Logs { place, .. }, .. },
            } => place,
            Host::Backup(Backup { place, action: None, .. })
            | Host::Backup(Backup { action: Some(BackupAction::Verify { place, .. }), .. })
            | Host::Inventory(Inventory { place, .. }) => place,
            Host::Dev(_) | Host::Probe { .. } => return None,
        };
        place.data.as_deref()
    }

    /// Whether it goes on until it is stopped, and so logs what happens; the others only say how they ended.
    pub fn serves(&self) -> bool {
        matches!(self, Host::Dev(_) | Host::Serve { .. })
    }
}
