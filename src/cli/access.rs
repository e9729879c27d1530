//! The arguments of `bulla access`.

use std::net::IpAddr;

use clap::{Args, Subcommand};

use crate::base::ids::{AccessPointName, UserName};

/// `bulla access`
#[derive(Subcommand)]
pub enum Access {
    /// Whether one principal may do something, and which policy says so.
    Simulate {
        /// This user.
        #[arg(long, conflicts_with = "access_point")]
        user: Option<UserName>,
        /// This application access point; without either, the account's root.
        #[arg(long, value_name = "NAME")]
        access_point: Option<AccessPointName>,
        /// What is asked.
        #[command(flatten)]
        question: Question,
    },
    /// Everybody in the account who may do something.
    Who {
        /// What is asked.
        #[command(flatten)]
        question: Question,
    },
}

/// What is asked of the policies.
#[derive(Args, Clone)]
pub struct Question {
    /// The operation, for example kms:GetSecretValue.
    #[arg(long)]
    pub action: String,
    /// What it is done to: secret/NAME, key/ID, alias/NAME, or an ARN.
    #[arg(long)]
    pub resource: String,
    /// From where.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub source_ip: IpAddr,
    /// Over plain HTTP instead of TLS.
    #[arg(long)]
    pub plain_http: bool,
    /// At this time (UTC, 2026-11-28T04:10:00Z) instead of now.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
}
