//! `bulla secret put`: a new secret or a new version.

use bulla_client::{Error, NewSecret, Value};

use super::super::{Session, failure, terminal, version_id};
use super::{edit, sent_len, too_long, written};
use crate::base::failure::{Class, Failure};
use crate::base::locale::t;
use crate::base::secret::VALUE_BYTES;
use crate::cli::Put;
use crate::output::Output;

/// Writes the value.
pub(super) fn run(session: &Session, put: &Put) -> Result<Output, Failure> {
    let (client, name) = (&session.client, put.name.as_str());
    let value = match (&put.file, put.generate) {
        (Some(file), _) => terminal::value_of_file(file)?,
        (None, Some(length)) => client.random_password(length).map_err(failure(""))?,
        (None, None) => terminal::value_of_stdin(&t!("Value of %{name}", name = name))?,
    };
    let binary = put.binary || value.text().is_none();
    if sent_len(&value, binary) > *VALUE_BYTES.end() {
        return Err(Failure::new(too_long(name)).class(Class::Usage));
    }
    let version = put.version_id.clone().unwrap_or_else(version_id);
    if let Some(current) = &put.if_version {
        edit::put_after(session, name, current, &version, &value, binary)?;
    } else if put.create {
        create(session, put, &version, &value, binary).map_err(failure(name))?;
        return Ok(written(name, &version));
    } else if !put_version(session, put, &version, &value, binary)? {
        return Ok(written(name, &version));
    }
    if !put.tags.is_empty() {
        client.tag_secret(name, &put.tags).map_err(only_written(name, &version, &t!("its tags")))?;
    }
    if let Some(description) = &put.description {
        client.describe_secret_as(name, description).map_err(only_written(name, &version, &t!("its description")))?;
    }
    Ok(written(name, &version))
}

/// The failure of what comes after the value: to put that once more would be refused, or make one more version.
fn only_written(name: &str, version: &str, what: &str) -> impl FnOnce(Error) -> Failure {
    let text =
        t!("%{name}: version %{version} is written and current, %{what} not", name = name, version = version, what = what);
    let text = text.into_owned();
    move |error| {
        let failed = failure("")(error);
        Failure { reason: format!("{text}: {}", failed.reason), class: Class::Other, ..failed }
    }
}

/// Writes a version, or the secret where there is none. Gives whether there was one.
fn put_version(session: &Session, put: &Put, version: &str, value: &Value, binary: bool) -> Result<bool, Failure> {
    let name = put.name.as_str();
    if put.key.is_none() {
        match session.client.put_secret_value(name, version, value, binary, &[]) {
            Err(error) if error.code() == "Forbidden.ResourceNotFound" => {}
            other => return other.map(|()| true).map_err(failure(name)),
        }
    }
    match create(session, put, version, value, binary) {
        Ok(()) => Ok(false),
        Err(error) if error.code() == "Rejected.ResourceExist" && put.key.is_some() => {
            let failure = Failure::conflict(t!("%{name} exists, and the key of a secret does not change", name = name));
            Err(failure.hint(t!("without --key this writes a new version under the key that it has")))
        }
        // Somebody else was quicker.
        Err(error) if error.code() == "Rejected.ResourceExist" => {
            session.client.put_secret_value(name, version, value, binary, &[]).map(|()| true).map_err(failure(name))
        }
        Err(error) => Err(failure(name)(error)),
    }
}

fn create(session: &Session, put: &Put, version: &str, value: &Value, binary: bool) -> Result<(), Error> {
    let new = NewSecret {
        name: &put.name,
        version,
        description: put.description.as_deref(),
        key: put.key.as_deref(),
        tags: &put.tags,
    };
    session.client.create_secret(&new, value, binary)
}
