//! `bulla login`: a server and an access key become a profile.

use std::fs;
use std::io::{BufRead, IsTerminal};
use std::path::Path;

use bulla_client::AccessKey;
use toml_edit::{DocumentMut, Item, Table, value};
use zeroize::Zeroizing;

use super::profile::{self, Known, Profile, variable};
use super::{failure, terminal, usage};
use crate::base::failure::Failure;
use crate::base::locale::{self, t};
use crate::base::private_folder;
use crate::cli::Connection;
use crate::output::Output;

/// Runs the command.
pub(super) fn run(connection: &Connection, id: Option<&str>) -> Result<Output, Failure> {
    let name = profile::named(connection.profile.as_deref()).unwrap_or_else(|| profile::DEFAULT.to_owned());
    if name.is_empty() || name.starts_with('.') || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Err(usage(
            t!("%{name} is no name of a profile", name = format!("{name:?}")),
            &t!("letters, digits, - _ and ."),
        ));
    }
    let folder = profile::folder_of_config()?;
    let mut known = Known::of(&folder, &name)?;
    let endpoint = match connection.endpoint.clone().or_else(|| variable("BULLA_ENDPOINT")).or_else(|| known.endpoint.take()) {
        Some(endpoint) => endpoint,
        None => terminal::ask(&t!("Endpoint (https://HOST:PORT)"))?,
    };
    let ca = connection.ca.clone().or_else(|| variable("BULLA_CA_FILE").map(Into::into)).or_else(|| known.ca_file.take());
    let ca = ca.map(|file| fs::canonicalize(&file).map_err(Failure::of_file(&file)));
    let ca = ca.transpose()?;
    let (id, secret) = credentials(id)?;
    let new = Profile::new(&name, &endpoint, ca.clone(), known, AccessKey::new(&id, secret.as_str()));
    let endpoint = new.endpoint.clone();
    let client = new.client(super::ATTEMPTS)?;
    let region = client.region().map_err(failure(""))?;
    let who = client.caller().ok();

    private_folder::make(&folder).map_err(Failure::of_file(&folder))?;
    let secret_file = format!("{name}.secret");
    let file = folder.join("config.toml");
    let document = with_profile(&file, &name, |table| {
        table.insert("endpoint", value(&endpoint));
        match &ca {
            Some(ca) => table.insert("ca_file", value(ca.to_string_lossy().as_ref())),
            None => table.remove("ca_file"),
        };
        table.insert("region", value(&region));
        table.insert("access_key_id", value(&id));
        table.insert("secret_file", value(&secret_file));
        table.remove("secret_command");
    })?;
    // The file could be read and is as it should be: nothing stands between the two writes but a disk that is full.
    terminal::write_private(&folder.join(&secret_file), format!("{}\n", secret.as_str()).as_bytes())?;
    terminal::write_private(&file, document.to_string().as_bytes())?;
    Ok(Output::one([
        ("Profile", name.into()),
        ("Endpoint", endpoint.into()),
        ("AccessKeyId", id.into()),
        ("Caller", who.map(|caller| caller.arn).into()),
        ("File", file.display().to_string().into()),
    ]))
}

/// Both halves of an access key: asked for, or the lines of standard input.
fn credentials(id: Option<&str>) -> Result<(String, Zeroizing<String>), Failure> {
    if std::io::stdin().is_terminal() {
        let id = match id {
            Some(id) => id.to_owned(),
            None => terminal::ask(&t!("Access key ID"))?,
        };
        let secret = terminal::ask_hidden(&t!("Access key secret"))?;
        return Ok((id, Zeroizing::new(secret.trim().to_owned())));
    }
    let mut lines = std::io::stdin().lock().lines();
    let mut line = |what: &str| match lines.next() {
        Some(Ok(line)) if !line.trim().is_empty() => Ok(Zeroizing::new(line.trim().to_owned())),
        _ => Err(usage(
            t!("standard input has no %{what}", what = what),
            &t!("two lines: the access key's id and its secret; with --access-key-id, its secret"),
        )),
    };
    let id = match id {
        Some(id) => id.to_owned(),
        None => line(&t!("access key ID"))?.to_string(),
    };
    Ok((id, line(&t!("access key secret"))?))
}

/// The file with one profile changed and the rest as it is.
fn with_profile(file: &Path, name: &str, change: impl FnOnce(&mut Table)) -> Result<DocumentMut, Failure> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "# Profiles of `bulla`; `bulla login` writes them.\n".to_owned(),
        Err(e) => return Err(Failure::of_file(file)(e)),
    };
    let mut document: DocumentMut =
        text.parse().map_err(|e: toml_edit::TomlError| Failure::local(locale::about(file.display(), e.message())))?;
    let profiles = document.entry("profile").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let wrong = || Failure::local(t!("%{file}: profile is no table", file = file.display()));
    let profile = profiles.as_table_mut().ok_or_else(wrong)?.entry(name).or_insert_with(|| Item::Table(Table::new()));
    change(profile.as_table_mut().ok_or_else(wrong)?);
    Ok(document)
}
