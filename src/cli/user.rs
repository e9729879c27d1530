//! The arguments of `bulla user`.

use clap::Subcommand;

use crate::base::ids::UserName;

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
    /// Shows a user with its access keys and policies.
    Show {
        /// Its name.
        name: UserName,
    },
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
