//! Names for a shell that completes: soon, or none at all.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{Session, failure, secret};
use crate::base::failure::Failure;
use crate::base::locale::t;
use crate::cli::{self, Names};
use crate::output::Output;

/// How long somebody waits who pressed a key.
const WITHIN: Duration = Duration::from_secs(1);

/// Prints what the last of these words can be, a line each.
pub(super) fn run(words: &[String]) -> Result<(), Failure> {
    let Some((names, connection)) = cli::names(words) else { return Ok(()) };
    let session = Session::with(&connection, 1)?;
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(found(&session, &names)));
    match told.recv_timeout(WITHIN) {
        Ok(Ok(Output::Text("", text))) if text.is_empty() => Ok(()),
        Ok(found) => found?.print(false),
        Err(_) => Err(Failure::unavailable(t!("the server does not answer in time"))),
    }
}

fn found(session: &Session, names: &Names) -> Result<Output, Failure> {
    match names {
        Names::Secrets(prefix) => secret::one_level(session, prefix),
        Names::Keys(prefix) => {
            let aliases = session.client.list_aliases(None).map_err(failure(""))?;
            let mut found: Vec<String> = aliases.into_iter().map(|alias| alias.alias_name).collect();
            // Nobody types an id from its beginning but who looks at one.
            if !prefix.is_empty() && !prefix.starts_with("alias/") {
                found.extend(session.client.list_keys().map_err(failure(""))?);
            }
            found.retain(|name| name.starts_with(prefix.as_str()));
            Ok(Output::Text("", found.join("\n")))
        }
    }
}
