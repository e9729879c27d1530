//! The arguments of `bulla account`.

use clap::Subcommand;

use crate::base::ids::UserName;

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
