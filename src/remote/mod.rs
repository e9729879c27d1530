//! The commands that ask a server, from any host: what a person or a script does with secrets and keys.
//!
//! Owns: what each of them does and prints, who asks and where. Must not know: the server's side; it is reached through `bulla_client`
//! like everybody else reaches it. Called by: main.
//!
//! Standard output is the result and nothing else. Values are read without echo, from standard input or from a file; they are on no
//! command line, in no error and in no file that nobody asked for.

mod agent;
mod failure;
mod inject;
mod key;
mod login;
mod names;
mod profile;
mod profiles;
mod reference;
mod resolve;
mod run;
mod said;
mod secret;
mod status;
mod template;
mod terminal;
mod value;

use bulla_client::Client;

use crate::base::failure::{Class, Failure};
use crate::cli::{Agent, Connection, Leading, Remote, Secret};
use failure::failure;
use profile::Profile;

/// How often a call is tried.
const ATTEMPTS: u32 = 4;

/// The same where there are thousands of them: for about a minute.
const PATIENT: u32 = 10;

/// Runs a command, and prints what it has to say. Gives the exit code: of `run` under supervision, the program's.
///
/// # Errors
/// Why it did not do what was asked.
pub fn run(mut command: Remote, leading: Leading, json: bool) -> Result<i32, Failure> {
    let connection = command.connection_mut();
    *connection = connection.clone().or(leading);
    let connection = connection.clone();
    match command {
        Remote::Login { access_key_id, .. } => login::run(&connection, access_key_id.as_deref())?.print(json)?,
        Remote::Profiles { .. } => profiles::list()?.print(json)?,
        Remote::Whoami { .. } => status::whoami(&Session::open(&connection)?)?.print(json)?,
        Remote::Status { .. } => status::status(&Session::open(&connection)?)?.print(json)?,
        Remote::Secret { action, .. } => {
            // What writes thousands of secrets waits until it is let.
            let attempts = if matches!(action, Secret::Import(_)) { PATIENT } else { ATTEMPTS };
            secret::run(&Session::with(&connection, attempts)?, action, json)?;
        }
        Remote::Key { action, .. } => key::run(&Session::open(&connection)?, action, json)?,
        Remote::Run(asked) => return run::run(&asked),
        Remote::CompleteNames { words, .. } => names::run(&words)?,
        Remote::Agent(asked) => agent::run(&Agent { connection, ..asked })?,
        Remote::Inject(asked) => inject::run(&Session::open(&connection)?, &asked)?,
    }
    Ok(0)
}

/// A server, and who asks it.
struct Session {
    client: Client,
    /// Where the access key comes from.
    source: String,
}

impl Session {
    fn open(connection: &Connection) -> Result<Self, Failure> {
        Self::with(connection, ATTEMPTS)
    }

    /// One that tries each call so often.
    fn with(connection: &Connection, attempts: u32) -> Result<Self, Failure> {
        let profile = Profile::find(connection)?;
        let source = profile.source.clone();
        Ok(Self { client: profile.client(attempts)?, source })
    }
}

/// The id of a version that nobody named: the time, so that ids sort as versions do, and a random part, so that two of a second differ.
fn version_id() -> String {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{time}-{}", &random[..8])
}

/// A command line that says nothing that can be done.
fn usage(reason: impl Into<String>, hint: &str) -> Failure {
    Failure::new(reason).class(Class::Usage).hint(hint)
}
