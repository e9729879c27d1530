//! Where an import comes from: a file, a server of Vault's API, a server of this API.
//!
//! Names are known before the first value is read; values come some at a time, so that there are never many in memory.

use std::io::Read;
use std::ops::Range;

use bulla_client::secrets::Secret;
use bulla_client::vault::Mount;
use bulla_client::{Client, Error, Selector, abreast};
use zeroize::Zeroizing;

use super::super::failure::IN_DELETE_WINDOW;
use super::super::profile::Profile;
use super::super::{PATIENT, failure, terminal, usage};
use super::formats::{self, Entry};
use crate::base::failure::{Class, Failure};
use crate::base::locale::{self, t};
use crate::base::text;
use crate::cli::{Connection, Import};

/// Secrets that are to come here.
pub(super) struct Source {
    names: Vec<String>,
    /// Names there, or the beginnings of some, that cannot be read.
    out_of_reach: Vec<String>,
    place: Place,
}

enum Place {
    /// Those that were not taken yet.
    File(Vec<Option<Entry>>),
    Vault(Mount),
    /// What is known of each beside its value.
    Server(Client, Vec<Secret>),
}

impl Source {
    /// Opens what the command line names.
    pub(super) fn open(asked: &Import) -> Result<Self, Failure> {
        match (&asked.file, &asked.from_vault, &asked.from_alibaba) {
            (Some(file), ..) => {
                let entries = read_file(&file.display().to_string(), asked)?;
                let names = entries.iter().map(|entry| entry.name.clone()).collect();
                Ok(Self { names, out_of_reach: Vec::new(), place: Place::File(entries.into_iter().map(Some).collect()) })
            }
            (_, Some(address), _) => of_vault(address, asked),
            (_, _, Some(endpoint)) => of_server(endpoint, asked),
            (None, None, None) => {
                Err(usage(t!("nothing is named that could be imported"), &t!("a file, --from-vault, --from-alibaba")))
            }
        }
    }

    /// The secrets' names, there.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether it is a file.
    pub(super) fn is_file(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    /// Names there, or the beginnings of some, that cannot be read.
    pub(super) fn out_of_reach(&self) -> &[String] {
        &self.out_of_reach
    }

    /// Those of a part; none for one that has no value (any more).
    pub(super) fn read(&mut self, part: Range<usize>) -> Result<Vec<Option<Entry>>, Failure> {
        let names = &self.names[part.clone()];
        match &mut self.place {
            Place::File(entries) => Ok(entries[part].iter_mut().map(Option::take).collect()),
            Place::Vault(mount) => abreast(names, |name| {
                let secret = mount.read(name).map_err(at_source(name))?;
                Ok(secret.map(|secret| Entry { tags: secret.custom_metadata, ..Entry::of(name.clone(), secret.data, false) }))
            }),
            Place::Server(client, secrets) => abreast(&secrets[part], |secret| read_secret(client, secret)),
        }
    }

    /// What one of them is for, where the source says that: a question of its own, which lists do not answer.
    pub(super) fn description(&self, place: usize) -> Result<Option<String>, Failure> {
        let Place::Server(client, secrets) = &self.place else { return Ok(None) };
        let name = &secrets[place].secret_name;
        let described = client.describe_secret(name).map_err(at_source(name))?;
        Ok(Some(described.description).filter(|text| !text.is_empty()))
    }
}

fn read_file(file: &str, asked: &Import) -> Result<Vec<Entry>, Failure> {
    let named = |reason: String| Failure::local(locale::about(file, reason));
    let text = if file == "-" {
        let mut bytes = Zeroizing::new(Vec::new());
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(|e| named(locale::os(&e)))?;
        text::of(bytes)
    } else {
        text::of(Zeroizing::new(std::fs::read(file).map_err(Failure::of_file(file.as_ref()))?))
    };
    let text = text.map_err(named)?;
    let format = asked.format.unwrap_or_else(|| formats::guess(file, &text));
    let wrong = |reason: String| usage(locale::about(file, reason), &t!("--format env, json or k8s says what it is"));
    let entries = formats::read(format, &text).map_err(wrong)?;
    if let Some(empty) = entries.iter().find(|entry| entry.value.expose().is_empty()) {
        return Err(usage(
            t!("%{file}: %{name} is empty, and a secret cannot be", file = file, name = empty.name),
            &t!("take it out of the file"),
        ));
    }
    Ok(entries)
}

/// Failures of the other side are said to be so.
fn at_source(subject: &str) -> impl Fn(Error) -> Failure {
    let of = failure(subject);
    move |error| {
        let failure = of(error);
        Failure { reason: t!("at the source: %{reason}", reason = failure.reason).into_owned(), ..failure }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn of_vault(address: &str, asked: &Import) -> Result<Source, Failure> {
    let token = match variable("VAULT_TOKEN") {
        Some(token) => Zeroizing::new(token),
        None => terminal::ask_hidden(&t!("Token of the Vault")).map_err(|failure| failure.hint("$VAULT_TOKEN"))?,
    };
    let ca = asked.from_ca.clone().or_else(|| variable("VAULT_CACERT").map(Into::into));
    let mount = asked.mount.as_deref().unwrap_or("secret");
    let reader = Mount::new(address, mount, token, variable("VAULT_NAMESPACE"), ca.as_deref()).map_err(at_source(""))?;
    if reader.is_version_2().map_err(at_source(mount))? == Some(false) {
        let failure =
            Failure::new(t!("at the source: %{mount} is no mount of KV version 2", mount = mount)).class(Class::Usage);
        return Err(failure.hint(t!("--mount names another; `vault kv enable-versioning` makes version 2 of version 1")));
    }
    // From the last folder of the prefix on.
    let prefix = asked.from_prefix.as_deref().unwrap_or_default();
    let begin = prefix.rfind('/').map_or("", |slash| &prefix[..=slash]);
    let (mut names, mut out_of_reach, mut folders) = (Vec::new(), Vec::new(), vec![begin.to_owned()]);
    while !folders.is_empty() {
        let levels = abreast(&folders, |folder| {
            let keys = reader.list(folder).map_err(at_source(&format!("{mount}/metadata/{folder}")))?;
            Ok(keys.into_iter().map(|key| (format!("{folder}{key}"), key.is_empty())).collect::<Vec<_>>())
        });
        // Who may not ask is not told whether there is such a mount.
        let levels = levels.map_err(|f: Failure| match f.class {
            Class::Denied => {
                f.hint(t!("the token needs list on MOUNT/metadata/*, and read on MOUNT/data/*; --mount names another"))
            }
            Class::NotFound => f.hint(t!("--mount names another")),
            _ => f,
        })?;
        // A folder that could have names that begin so, or that is below one.
        let of_interest =
            |(name, _): &(String, bool)| name.starts_with(prefix) || name.ends_with('/') && prefix.starts_with(name.as_str());
        let found = levels.into_iter().flatten().filter(of_interest);
        // A folder's own name among those below it is that of a secret whose name ends with a slash.
        let (found, odd): (Vec<_>, Vec<_>) = found.partition(|(name, is_folder)| !is_folder && is_addressed(name));
        out_of_reach.extend(odd.into_iter().map(|(name, _)| name));
        let found = found.into_iter().map(|(name, _)| name);
        (folders, names) = found.fold((Vec::new(), names), |(mut folders, mut names), name| {
            if name.ends_with('/') {
                folders.push(name)
            } else {
                names.push(name)
            }
            (folders, names)
        });
    }
    names.sort();
    Ok(Source { names, out_of_reach, place: Place::Vault(reader) })
}

/// Whether an address leads to a name, or to what is below a folder: servers take the parts of paths that say nothing out of them.
fn is_addressed(name: &str) -> bool {
    let parts = name.strip_suffix('/').unwrap_or(name);
    parts.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn of_server(endpoint: &str, asked: &Import) -> Result<Source, Failure> {
    let connection =
        Connection { profile: asked.from_profile.clone(), endpoint: Some(endpoint.to_owned()), ca: asked.from_ca.clone() };
    let client = Profile::find(&connection)?.client(PATIENT)?;
    // Not by a filter: what that is called differs from service to service.
    let mut secrets = client.list_secrets("").map_err(at_source(""))?;
    // What waits for its deletion has no value.
    let prefix = asked.from_prefix.as_deref().unwrap_or_default();
    secrets.retain(|secret| secret.secret_name.starts_with(prefix) && secret.planned_delete_time.is_none());
    let managed = secrets.iter().filter(|secret| secret.secret_type != "Generic").count();
    if managed > 0 {
        let told = t!(
            "%{managed} of %{all} are managed secrets: their values are copied, their rotation stays at the source",
            managed = managed,
            all = secrets.len()
        );
        log::warn!("{told}");
    }
    Ok(Source {
        names: secrets.iter().map(|secret| secret.secret_name.clone()).collect(),
        out_of_reach: Vec::new(),
        place: Place::Server(client, secrets),
    })
}

fn read_secret(client: &Client, secret: &Secret) -> Result<Option<Entry>, Failure> {
    match client.secret_value(&secret.secret_name, &Selector::Current) {
        Ok(found) => Ok(Some(Entry { tags: secret.tags(), ..Entry::of(found.name, found.data, found.binary) })),
        // Deleted since the list was made.
        Err(error) if matches!(error.code(), "Forbidden.ResourceNotFound" | IN_DELETE_WINDOW) => Ok(None),
        Err(error) => Err(at_source(&secret.secret_name)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_address_has() {
        for (name, expected) in [
            ("a", true),
            ("a/", true),
            ("a/b/.c", true),
            ("", false),
            ("/", false),
            ("/abs", false),
            ("trail//", false),
            ("a//b", false),
            ("../x", false),
            ("a/./b", false),
        ] {
            assert_eq!(is_addressed(name), expected, "{name:?}");
        }
    }
}
