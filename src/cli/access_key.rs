//! The arguments of `bulla access-key`.

use clap::Subcommand;

use crate::base::ids::{AccessKeyId, UserName};

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
