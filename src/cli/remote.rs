//! The table of the commands that ask a server.

use clap::Subcommand;

use super::words::named;
use super::{Agent, Connection, Inject, Key, Run, Secret};

/// The commands that ask a server.
#[derive(Subcommand)]
pub enum Remote {
    /// Keep a server and an access key as a profile, after trying them: asks for both halves of the key, and shows neither.
    Login {
        /// Which server, and what the profile is called (default).
        #[command(flatten)]
        connection: Connection,
        /// The public half of the access key; asked for where it is not given.
        #[arg(long, value_name = "ID", value_parser = named)]
        access_key_id: Option<String>,
    },
    /// The profiles that `bulla login` keeps, and which of them is taken where none is named.
    Profiles {
        /// None: no server is asked.
        #[arg(skip)]
        connection: Connection,
    },
    /// Who asks, as the server sees it.
    Whoami {
        /// Which server.
        #[command(flatten)]
        connection: Connection,
    },
    /// Whether the server is ready, of which version it is, who asks it, and how far the two clocks are apart.
    Status {
        /// Which server.
        #[command(flatten)]
        connection: Connection,
    },
    /// Secrets: read, write, list, and what becomes of them.
    Secret {
        /// Which server.
        #[command(flatten)]
        connection: Connection,
        /// What to do.
        #[command(subcommand)]
        action: Secret,
    },
    /// Keys on the token: make, list, rotate, and what is done with them.
    Key {
        /// Which server.
        #[command(flatten)]
        connection: Connection,
        /// What to do.
        #[command(subcommand)]
        action: Key,
    },
    /// Run a program with secrets in its environment: every variable whose value is `bulla://NAME[#FIELD][@VERSION]` gets that value, all
    /// of them by one request. The program takes the place of this one; a secret that is missing stops it before it begins.
    Run(Run),
    /// Fill a template with secrets.
    Inject(Inject),
    /// Print what a shell can complete the last of these words to.
    #[command(hide = true)]
    CompleteNames {
        /// Which server: what the words say.
        #[arg(skip)]
        connection: Connection,
        /// The words up to the cursor, without the program's name.
        #[arg(last = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Keep secrets in files, fresh, and answer reads at a local socket, for programs that ask no server; tell these when there is another
    /// version.
    Agent(Agent),
}

impl Remote {
    /// Whether it stays until it is told to end.
    pub fn serves(&self) -> bool {
        matches!(self, Remote::Agent(Agent { once: false, .. }))
    }

    /// Which server it is for.
    pub fn connection_mut(&mut self) -> &mut Connection {
        match self {
            Remote::Login { connection, .. }
            | Remote::Profiles { connection }
            | Remote::Whoami { connection }
            | Remote::Status { connection }
            | Remote::CompleteNames { connection, .. }
            | Remote::Secret { connection, .. }
            | Remote::Key { connection, .. }
            | Remote::Run(Run { connection, .. })
            | Remote::Inject(Inject { connection, .. })
            | Remote::Agent(Agent { connection, .. }) => connection,
        }
    }
}
