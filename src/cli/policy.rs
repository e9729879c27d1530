//! The arguments of `bulla policy`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::base::ids::{PolicyName, UserName};

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
    /// Shows a policy, or a system policy: its document and who has it.
    Show {
        /// Its name.
        name: PolicyName,
    },
    /// Puts another document in the place of a policy's, for all who have it at once.
    Update {
        /// Its name.
        name: PolicyName,
        /// File with the new document (JSON).
        #[arg(long, value_name = "FILE")]
        document: PathBuf,
    },
    /// Lists policies, the system policies included.
    List {
        /// Only those that this user has.
        #[arg(long)]
        user: Option<UserName>,
    },
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
