//! `bulla secret`: one function for each action, the longer ones in files of their own.

mod edit;
mod export;
mod formats;
mod import;
mod list;
mod put;
mod source;

use bulla_client::secrets::{CURRENT, PREVIOUS};
use bulla_client::{SecretValue, Selector, Value};
use serde_json::Value as Json;

use super::{Session, failure, terminal, value, version_id};
use crate::base::failure::Failure;
use crate::base::locale::t;
use crate::base::secret::VALUE_BYTES;
use crate::cli::{Get, Secret, Which};
use crate::output::{Output, Row};

/// The names of one level that begin so.
pub(super) fn one_level(session: &Session, prefix: &str) -> Result<Output, Failure> {
    list::names(session, prefix, true, false)
}

/// Runs an action.
pub(super) fn run(session: &Session, action: Secret, json: bool) -> Result<(), Failure> {
    let output = match action {
        Secret::Get(get) => return print(session, &get, json),
        Secret::Put(put) => put::run(session, &put)?,
        Secret::Patch { name, changes, version_id } => edit::patch(session, &name, &changes, version_id)?,
        Secret::Edit { name, version_id } => edit::edit(session, &name, version_id)?,
        Secret::List { prefix, directories, long, .. } => {
            list::names(session, prefix.as_deref().unwrap_or_default(), directories, long || json)?
        }
        Secret::Find { word } => list::find(session, &word, json)?,
        Secret::Show { name } => show(session, &name)?,
        Secret::Versions { name } => versions(session, &name)?,
        Secret::Diff { name, from, to } => edit::diff(session, &name, &from, &to)?,
        Secret::Rollback { name, version } => rollback(session, &name, version)?,
        Secret::Rotate { name, version_id: id } => {
            let id = id.unwrap_or_else(version_id);
            session.client.rotate_secret(&name, &id).map_err(failure(&name))?;
            written(&name, &id)
        }
        Secret::Delete { name, after, now, yes } => delete(session, &name, after, now, yes)?,
        Secret::Restore { name } => {
            session.client.restore_secret(&name).map_err(failure(&name))?;
            Output::one([("SecretName", name.into()), ("Restored", true.into())])
        }
        Secret::Import(asked) => import::run(session, &asked)?,
        Secret::Export(asked) => return export::run(session, &asked, json),
        Secret::Tag { name, changes } => tag(session, &name, &changes)?,
        Secret::Policy { name, set } => match set {
            Some(file) => {
                let document = if file.as_os_str() == "-" {
                    terminal::value_of_stdin(&t!("The policy"))?
                } else {
                    terminal::value_of_file(&file)?
                };
                let document = document.text().ok_or_else(|| {
                    Failure::local(t!("%{subject}: no text", subject = file.display())).hint(t!("a policy is JSON, in UTF-8"))
                })?;
                session.client.set_secret_policy(&name, document).map_err(failure(&name))?;
                Output::one([("SecretName", name.into()), ("Set", true.into())])
            }
            None => Output::Text("Policy", session.client.secret_policy(&name).map_err(failure(&name))?),
        },
    };
    match &output {
        // Names alone, none of them included.
        Output::Text("", text) if text.is_empty() => Ok(()),
        _ => output.print(json),
    }
}

/// What a write says.
fn written(name: &str, version: &str) -> Output {
    Output::one([("SecretName", name.into()), ("VersionId", version.into())])
}

impl Which {
    fn selector(&self) -> Selector {
        match (&self.version, &self.stage) {
            (Some(version), _) => Selector::Version(version.clone()),
            (None, Some(stage)) => Selector::Stage(stage.clone()),
            (None, None) => Selector::Current,
        }
    }
}

fn print(session: &Session, get: &Get, json: bool) -> Result<(), Failure> {
    let mut found = session.client.secret_value(&get.name, &get.which.selector()).map_err(failure(&get.name))?;
    if let Some(name) = &get.field {
        found.data = value::field(&get.name, &found.data, name)?;
    }
    if let Some(file) = get.out.as_deref().and_then(terminal::file_named) {
        terminal::write_private(file, found.data.expose())?;
        return if json { Output::one([("File", file.display().to_string().into())]).print(json) } else { Ok(()) };
    }
    if json { Output::One(row(&found, get.field.as_deref())).print(json) } else { terminal::print_value(&found.data) }
}

/// A value for programs; bytes as Base64, as in the API.
fn row(found: &SecretValue, field: Option<&str>) -> Row {
    let encoded = found.binary.then(|| found.data.to_base64());
    let data = encoded.as_ref().unwrap_or(&found.data).text().unwrap_or_default();
    let mut row = Output::row([
        ("SecretName", found.name.as_str().into()),
        ("VersionId", found.version.as_str().into()),
        ("VersionStages", found.stages.clone().into()),
        ("SecretDataType", if found.binary { "binary" } else { "text" }.into()),
        ("SecretData", data.into()),
        ("CreateTime", found.created.as_str().into()),
    ]);
    row.extend(field.map(|field| ("Field", field.into())));
    row
}

fn show(session: &Session, name: &str) -> Result<Output, Failure> {
    let secret = session.client.describe_secret(name).map_err(failure(name))?;
    let versions = session.client.list_secret_versions(name).map_err(failure(name))?;
    let current = versions.iter().find(|version| version.is_current());
    let text = |value: &Option<String>| value.as_deref().filter(|v| !v.is_empty()).map_or(Json::Null, Json::from);
    let mut row = Output::row([
        ("SecretName", secret.secret_name.as_str().into()),
        ("Arn", secret.arn.as_str().into()),
        ("SecretType", secret.secret_type.as_str().into()),
        ("Description", Some(&secret.description).filter(|d| !d.is_empty()).map_or(Json::Null, |d| d.as_str().into())),
        ("EncryptionKeyId", text(&secret.encryption_key_id)),
        ("CreateTime", secret.create_time.as_str().into()),
        ("UpdateTime", secret.update_time.as_str().into()),
        ("PlannedDeleteTime", text(&secret.planned_delete_time)),
        ("CurrentVersionId", current.map_or(Json::Null, |version| version.id.as_str().into())),
        ("Versions", versions.len().into()),
        ("Tags", list::tags(&secret)),
    ]);
    if secret.automatic_rotation.is_some() {
        row.extend([
            ("AutomaticRotation", text(&secret.automatic_rotation)),
            ("RotationInterval", text(&secret.rotation_interval)),
            ("LastRotationDate", text(&secret.last_rotation_date)),
            ("NextRotationDate", text(&secret.next_rotation_date)),
        ]);
    }
    Ok(Output::One(row))
}

fn versions(session: &Session, name: &str) -> Result<Output, Failure> {
    let versions = session.client.list_secret_versions(name).map_err(failure(name))?;
    let row = |version: bulla_client::secrets::Version| {
        Output::row([
            ("VersionId", version.id.into()),
            ("CreateTime", version.created.into()),
            ("VersionStages", version.stages.into()),
        ])
    };
    Ok(Output::List(versions.into_iter().map(row).collect()))
}

fn rollback(session: &Session, name: &str, to: Option<String>) -> Result<Output, Failure> {
    let versions = session.client.list_secret_versions(name).map_err(failure(name))?;
    let with = |stage: &str| versions.iter().find(|version| version.stages.iter().any(|s| s == stage));
    let shows = || t!("`bulla secret versions %{name}` shows what there is", name = name);
    let current = with(CURRENT)
        .ok_or_else(|| Failure::not_found(t!("%{name}: no version is %{label}", name = name, label = CURRENT)).hint(shows()))?;
    let to = match to {
        Some(id) => id,
        None => match with(PREVIOUS) {
            Some(previous) => previous.id.clone(),
            None => {
                let failure = Failure::not_found(t!("%{name}: there is no version before the current one", name = name));
                return Err(failure.hint(shows()));
            }
        },
    };
    if to == current.id {
        let failure = Failure::conflict(t!("%{name}: %{version} is the current version", name = name, version = to));
        return Err(failure.hint(shows()));
    }
    // From the version that was seen: who else moved it meanwhile is not overruled.
    edit::make_current(session, name, &to, &current.id)?;
    Ok(written(name, &to))
}

fn delete(session: &Session, name: &str, after: Option<u32>, now: bool, yes: bool) -> Result<Output, Failure> {
    let what = match now {
        true => t!("Delete %{name} at once and for ever", name = name),
        false => t!("Delete %{name}", name = name),
    };
    terminal::confirm(&what, name, yes)?;
    let days = (!now).then(|| after.unwrap_or(30));
    let gone = session.client.delete_secret(name, days).map_err(failure(name))?;
    Ok(Output::one([
        ("SecretName", name.into()),
        ("PlannedDeleteTime", gone.filter(|g| !g.is_empty()).map_or(Json::Null, Json::from)),
    ]))
}

/// The bytes of a value as they are sent: in Base64 where it is a binary one.
fn sent_len(value: &Value, binary: bool) -> usize {
    let length = value.expose().len();
    if binary { length.div_ceil(3) * 4 } else { length }
}

fn too_long(name: &str) -> String {
    t!(
        "%{name}: the value is too long: %{least} to %{most} bytes, those of Base64 for a binary value",
        name = name,
        least = VALUE_BYTES.start(),
        most = VALUE_BYTES.end()
    )
    .into_owned()
}

fn tag(session: &Session, name: &str, changes: &[String]) -> Result<Output, Failure> {
    let (mut set, mut gone) = (Vec::new(), Vec::new());
    for change in changes {
        match (change.split_once('='), change.strip_suffix('!')) {
            (Some((key, value)), _) if !key.is_empty() => set.push((key.to_owned(), value.to_owned())),
            (None, Some(key)) if !key.is_empty() => gone.push(key.to_owned()),
            _ => {
                let reason = t!("%{change} is no change of tags", change = format!("{change:?}"));
                return Err(super::usage(reason, &t!("KEY=VALUE, or KEY! to take it away")));
            }
        }
    }
    if !set.is_empty() {
        session.client.tag_secret(name, &set).map_err(failure(name))?;
    }
    if !gone.is_empty() {
        session.client.untag_secret(name, &gone).map_err(failure(name))?;
    }
    let tags = session.client.describe_secret(name).map_err(failure(name))?.tags();
    let rows = tags.into_iter().map(|(key, value)| Output::row([("TagKey", key.into()), ("TagValue", value.into())]));
    Ok(Output::List(rows.collect()))
}
