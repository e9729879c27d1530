//! `bulla key`: one function for each action.

use aws_lc_rs::digest;
use bulla_client::Value;
use bulla_client::keys::{Key as KeyRow, Made, NewKey};
use serde_json::Value as Json;

use super::{Session, failure, terminal, usage};
use crate::base::failure::Failure;
use crate::base::ids::Alias;
use crate::base::locale::{self, t};
use crate::cli::{Input, Key, KeyPair, KeyUsage};
use crate::output::{Output, Row};

/// Runs an action.
pub(super) fn run(session: &Session, action: Key, json: bool) -> Result<(), Failure> {
    let client = &session.client;
    let output = match action {
        Key::List { quiet } => list(session, quiet && !json)?,
        Key::Create { spec, usage, external, protection, description, rotate_every, alias, tags } => {
            let new = NewKey {
                spec: spec.as_deref(),
                usage: usage.map(KeyUsage::name),
                origin: external.then_some("EXTERNAL"),
                protection_level: protection.as_deref(),
                description: description.as_deref(),
                rotation_interval: rotate_every.as_deref(),
                tags: &tags,
            };
            // Looked at first, so that no key is left behind without the name that it was to have.
            if let Some(alias) = &alias {
                alias.parse::<Alias>().map_err(|_| {
                    let hint = t!("alias/ and letters, digits, _ - /, at most 255 characters in all; no key was made");
                    super::usage(t!("%{alias} is no alias", alias = format!("{alias:?}")), &hint)
                })?;
            }
            if let Some(alias) = &alias
                && let Ok(there) = client.describe_key(alias)
            {
                let failure = Failure::conflict(t!(
                    "%{alias} is a name of the key %{key}; no key was made",
                    alias = alias,
                    key = there.key_id
                ));
                return Err(failure.hint(t!("`bulla key alias NAME KEY` moves a name")));
            }
            let made = client.create_key(&new).map_err(failure(""))?;
            let mut row = Output::row([("KeyId", made.key_id.as_str().into())]);
            if let Some(alias) = alias {
                client.create_alias(&alias, &made.key_id).map_err(|e| {
                    let what = t!("the key %{key} is made, its alias is not", key = made.key_id);
                    let hint = t!(
                        "`bulla key alias %{alias} %{key}` tries again; `bulla key delete %{key}` takes the key away",
                        alias = alias,
                        key = made.key_id
                    );
                    let failure = failure("")(e);
                    Failure { hint: Some(hint.into_owned()), reason: locale::about(what, &failure.reason), ..failure }
                })?;
                row.push(("AliasName", alias.into()));
            }
            Output::One(row)
        }
        Key::Show { key } => show(session, &key)?,
        Key::Versions { key } => {
            let versions = client.list_key_versions(&session.key_id(&key)?).map_err(failure(&key))?;
            let row = |v: bulla_client::keys::KeyVersion| {
                Output::row([("KeyVersionId", v.key_version_id.into()), ("CreationDate", v.creation_date.into())])
            };
            Output::List(versions.into_iter().map(row).collect())
        }
        Key::Rotate { key } => {
            let id = session.key_id(&key)?;
            let version = client.create_key_version(&id).map_err(failure(&key))?;
            Output::one([("KeyId", id.into()), ("KeyVersionId", version.key_version_id.into())])
        }
        Key::Disable { key } => enable(session, &key, false)?,
        Key::Enable { key } => enable(session, &key, true)?,
        Key::Protect { key, reason, off } => {
            let reason = (!off).then(|| reason.unwrap_or_default());
            client.set_deletion_protection(&session.key_id(&key)?, reason.as_deref()).map_err(failure(&key))?;
            let found = client.describe_key(&key).map_err(failure(&key))?;
            let mut row = Output::row([("KeyId", found.key_id.as_str().into())]);
            row.extend(protection(&found));
            Output::One(row)
        }
        Key::Delete { key, cancel: true, .. } => {
            client.cancel_key_deletion(&session.key_id(&key)?).map_err(failure(&key))?;
            state(session, &key)?
        }
        Key::Delete { key, after, yes, .. } => {
            let id = session.key_id(&key)?;
            let what = t!("Delete the key %{key}, and so all that it protects, in %{days} days", key = key, days = after);
            terminal::confirm(&what, &key, yes)?;
            client.schedule_key_deletion(&id, after).map_err(failure(&key))?;
            state(session, &key)?
        }
        Key::Alias { name: None, .. } => aliases(session, None)?,
        Key::Alias { name: Some(name), delete: true, .. } => {
            client.delete_alias(&name).map_err(failure(&name))?;
            Output::one([("AliasName", name.into()), ("Deleted", true.into())])
        }
        Key::Alias { name: Some(name), key: Some(key), .. } => {
            let id = session.key_id(&key)?;
            client.set_alias(&name, &id).map_err(failure(&name))?;
            Output::one([("AliasName", name.into()), ("KeyId", id.into())])
        }
        Key::Alias { name: Some(name), key: None, .. } => aliases(session, Some(&name))?,
        Key::Encrypt { key, input, context, pair } => {
            let plaintext = bytes(&input, &t!("What to encrypt"))?;
            let row = client.describe_key(&key).map_err(failure(&key))?;
            fits(&key, &row, &context, &pair)?;
            if is_pair(&row) {
                let (version, algorithm) = pair_of(session, &row, &pair, "RSAES_OAEP_SHA_256")?;
                made(
                    client.encrypt_to(&row.key_id, &version, &algorithm, &plaintext).map_err(failure(&key))?,
                    "CiphertextBlob",
                    json,
                )
            } else {
                made(client.encrypt(&key, &plaintext, &context).map_err(failure(&key))?, "CiphertextBlob", json)
            }
        }
        Key::Decrypt { key, input, context, pair } => {
            let blob = bytes(&input, &t!("What to decrypt"))?;
            let blob = blob
                .text()
                .map(str::trim)
                .ok_or_else(|| usage(t!("the ciphertext is no Base64"), &t!("what `encrypt` printed")))?;
            let plain = match key {
                None => {
                    fits_symmetric(&t!("a ciphertext without a key"), &context, &pair)?;
                    client.decrypt(blob, &context).map_err(failure(""))?.1
                }
                Some(key) => {
                    let row = client.describe_key(&key).map_err(failure(&key))?;
                    fits(&key, &row, &context, &pair)?;
                    if is_pair(&row) {
                        let (version, algorithm) = pair_of(session, &row, &pair, "RSAES_OAEP_SHA_256")?;
                        client.decrypt_with(&row.key_id, &version, &algorithm, blob).map_err(failure(&key))?
                    } else {
                        let (with, plain) = client.decrypt(blob, &context).map_err(failure(&key))?;
                        if with != row.key_id {
                            let other = Failure::conflict(t!("%{key}: the ciphertext is of another key", key = key));
                            return Err(
                                other.hint(t!("`bulla key decrypt` without KEY takes the key that the ciphertext names"))
                            );
                        }
                        plain
                    }
                }
            };
            if !json {
                return terminal::print_value(&plain);
            }
            Output::one([("Plaintext", plain.to_base64().text().unwrap_or_default().into())])
        }
        Key::Sign { key, input, pair } => {
            let row = client.describe_key(&key).map_err(failure(&key))?;
            let (version, algorithm) = pair_of(session, &row, &pair, signing(&row))?;
            let digest = digest_of(&input, &t!("What to sign"))?;
            made(client.sign(&row.key_id, &version, &algorithm, digest.as_ref()).map_err(failure(&key))?, "Value", json)
        }
        Key::Verify { key, signature, input, pair } => verify(session, &key, &signature, &input, &pair)?,
        Key::Mac { key, input, algorithm } => {
            let message = bytes(&input, &t!("The message"))?;
            let algorithm = match algorithm {
                Some(algorithm) => algorithm,
                None => hashing(&client.describe_key(&key).map_err(failure(&key))?),
            };
            made(client.mac(&key, &algorithm, &message).map_err(failure(&key))?, "Mac", json)
        }
        Key::PublicKey { key, version } => {
            let id = session.key_id(&key)?;
            let version = version.map_or_else(|| newest(session, &id), Ok)?;
            Output::Text("PublicKey", client.public_key(&id, &version).map_err(failure(&key))?)
        }
    };
    match &output {
        Output::Text("", text) if text.is_empty() => Ok(()),
        _ => output.print(json),
    }
}

impl Session {
    /// The id of a key that is named by an alias, for operations that take none.
    fn key_id(&self, key: &str) -> Result<String, Failure> {
        if key.starts_with("alias/") || key.contains(":alias/") {
            return Ok(self.client.describe_key(key).map_err(failure(key))?.key_id);
        }
        Ok(key.to_owned())
    }
}

impl KeyUsage {
    fn name(self) -> &'static str {
        match self {
            KeyUsage::Encrypt => "ENCRYPT/DECRYPT",
            KeyUsage::Sign => "SIGN/VERIFY",
            KeyUsage::Mac => "GENERATE/VERIFY_MAC",
        }
    }
}

fn list(session: &Session, ids_only: bool) -> Result<Output, Failure> {
    let ids = session.client.list_keys().map_err(failure(""))?;
    if ids_only {
        return Ok(Output::Text("", ids.join("\n")));
    }
    let aliases = session.client.list_aliases(None).map_err(failure(""))?;
    let mut rows = Vec::new();
    for id in ids {
        let key = match session.client.describe_key(&id) {
            // Gone since the list was made.
            Err(error) if error.code() == "Forbidden.KeyNotFound" => continue,
            other => other.map_err(failure(&id))?,
        };
        let names: Vec<&str> = aliases.iter().filter(|a| a.key_id == id).map(|a| a.alias_name.as_str()).collect();
        rows.push(Output::row([
            ("KeyId", key.key_id.as_str().into()),
            ("KeySpec", key.key_spec.as_str().into()),
            ("KeyUsage", key.key_usage.as_str().into()),
            ("KeyState", key.key_state.as_str().into()),
            ("Aliases", names.into()),
        ]));
    }
    Ok(Output::List(rows))
}

fn show(session: &Session, key: &str) -> Result<Output, Failure> {
    let found = session.client.describe_key(key).map_err(failure(key))?;
    let aliases = session.client.list_aliases(Some(&found.key_id)).map_err(failure(key))?;
    let text = |text: &str| if text.is_empty() { Json::Null } else { text.into() };
    let mut row: Row = Output::row([
        ("KeyId", text(&found.key_id)),
        ("Arn", text(&found.arn)),
        ("KeySpec", text(&found.key_spec)),
        ("KeyUsage", text(&found.key_usage)),
        ("KeyState", text(&found.key_state)),
        ("Origin", text(&found.origin)),
        ("Description", text(&found.description)),
        ("Creator", text(&found.creator)),
        ("CreationDate", text(&found.creation_date)),
        ("PrimaryKeyVersion", text(&found.primary_key_version)),
        ("AutomaticRotation", text(&found.automatic_rotation)),
        ("LastRotationDate", text(&found.last_rotation_date)),
        ("NextRotationDate", text(found.next_rotation_date.as_deref().unwrap_or_default())),
        ("DeleteDate", text(&found.delete_date)),
    ]);
    row.extend(protection(&found));
    row.push(("Aliases", aliases.into_iter().map(|a| a.alias_name).collect::<Vec<_>>().into()));
    Ok(Output::One(row))
}

fn aliases(session: &Session, name: Option<&str>) -> Result<Output, Failure> {
    let all = session.client.list_aliases(None).map_err(failure(""))?;
    let fits = |alias: &str| name.is_none_or(|name| name == alias);
    let rows: Vec<Row> = all
        .into_iter()
        .filter(|a| fits(&a.alias_name))
        .map(|a| Output::row([("AliasName", a.alias_name.into()), ("KeyId", a.key_id.into())]))
        .collect();
    match name {
        Some(name) if rows.is_empty() => Err(Failure::not_found(t!("no alias %{name}", name = format!("{name:?}")))
            .hint(t!("`bulla key alias` shows what there is"))),
        _ => Ok(Output::List(rows)),
    }
}

fn enable(session: &Session, key: &str, enabled: bool) -> Result<Output, Failure> {
    session.client.set_key_enabled(&session.key_id(key)?, enabled).map_err(failure(key))?;
    state(session, key)
}

/// What a change of its state has come to.
fn state(session: &Session, key: &str) -> Result<Output, Failure> {
    let found = session.client.describe_key(key).map_err(failure(key))?;
    let gone = if found.delete_date.is_empty() { Json::Null } else { found.delete_date.into() };
    Ok(Output::one([("KeyId", found.key_id.into()), ("KeyState", found.key_state.into()), ("DeleteDate", gone)]))
}

/// Whether its deletion is refused, and why.
fn protection(key: &KeyRow) -> Row {
    let why = Some(key.deletion_protection_description.as_str()).filter(|why| !why.is_empty());
    Output::row([
        ("DeletionProtection", key.deletion_protection.as_str().into()),
        ("DeletionProtectionDescription", why.map_or(Json::Null, Json::from)),
    ])
}

fn bytes(input: &Input, prompt: &str) -> Result<Value, Failure> {
    match &input.file {
        Some(file) => terminal::value_of_file(file),
        None => terminal::bytes_of_stdin(prompt),
    }
}

/// The SHA-256 of what is to be signed, of any length.
fn digest_of(input: &Input, prompt: &str) -> Result<digest::Digest, Failure> {
    let mut hash = digest::Context::new(&digest::SHA256);
    terminal::each_part(input.file.as_deref(), prompt, |part| hash.update(part))?;
    Ok(hash.finish())
}

/// Refuses what this kind of key does not take: to leave it out would leave out what somebody relies on.
fn fits(key: &str, row: &KeyRow, context: &[(String, String)], pair: &KeyPair) -> Result<(), Failure> {
    if !is_pair(row) {
        return fits_symmetric(key, context, pair);
    }
    match context {
        [] => Ok(()),
        _ => Err(usage(t!("%{key}: a pair binds no --context", key = key), &t!("a symmetric key does"))),
    }
}

fn fits_symmetric(key: &str, context: &[(String, String)], pair: &KeyPair) -> Result<(), Failure> {
    if pair.version.is_some() || pair.algorithm.is_some() {
        let text = t!("%{key}: --version and --algorithm are for key pairs", key = key);
        return Err(usage(text, &t!("a symmetric key has one algorithm, and its ciphertexts name their version")));
    }
    let mut names: Vec<&str> = context.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|two| two[0] == two[1]) {
        Some(two) => Err(usage(t!("--context names %{name} twice", name = format!("{:?}", two[0])), &t!("each name once"))),
        None => Ok(()),
    }
}

fn is_pair(key: &KeyRow) -> bool {
    key.key_spec.starts_with("RSA_") || key.key_spec.starts_with("EC_")
}

/// The algorithm that a pair signs with where nobody says.
fn signing(key: &KeyRow) -> &'static str {
    if key.key_spec.starts_with("EC_") { "ECDSA_SHA_256" } else { "RSA_PSS_SHA_256" }
}

/// The algorithm of a key's MACs where nobody says; of a key that makes none, one that is refused for what the key is.
fn hashing(key: &KeyRow) -> String {
    if key.key_spec.starts_with("HMAC_") { key.key_spec.clone() } else { "HMAC_SHA_256".to_owned() }
}

/// Version and algorithm of a key pair.
fn pair_of(session: &Session, key: &KeyRow, pair: &KeyPair, usual: &str) -> Result<(String, String), Failure> {
    let version = pair.version.clone().map_or_else(|| newest(session, &key.key_id), Ok)?;
    Ok((version, pair.algorithm.clone().unwrap_or_else(|| usual.to_owned())))
}

fn newest(session: &Session, key: &str) -> Result<String, Failure> {
    let versions = session.client.list_key_versions(key).map_err(failure(key))?;
    let last = versions.into_iter().next_back().map(|version| version.key_version_id);
    last.ok_or_else(|| {
        Failure::not_found(t!("%{key}: the key has no version", key = key))
            .hint(t!("GetParametersForImport and ImportKeyMaterial bring its material in: docs/api.md"))
    })
}

fn made(made: Made, name: &'static str, json: bool) -> Output {
    if !json {
        return Output::Text("", made.value);
    }
    let mut row = Output::row([("KeyId", made.key_id.into())]);
    row.extend(made.key_version_id.map(|id| ("KeyVersionId", id.into())));
    row.push((name, made.value.into()));
    Output::One(row)
}

fn verify(session: &Session, key: &str, signature: &str, input: &Input, pair: &KeyPair) -> Result<Output, Failure> {
    let client = &session.client;
    let signature = match signature.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).map_err(Failure::of_file(file.as_ref()))?,
        None => signature.to_owned(),
    };
    let row = client.describe_key(key).map_err(failure(key))?;
    let right = if is_pair(&row) {
        let (version, algorithm) = pair_of(session, &row, pair, signing(&row))?;
        let digest = digest_of(input, &t!("What was signed"))?;
        client.verify(&row.key_id, &version, &algorithm, digest.as_ref(), signature.trim())
    } else {
        let algorithm = pair.algorithm.clone().unwrap_or_else(|| hashing(&row));
        client.verify_mac(key, &algorithm, &bytes(input, &t!("The message"))?, signature.trim())
    };
    match right.map_err(failure(key))? {
        true => Ok(Output::one([("KeyId", row.key_id.into()), ("Valid", true.into())])),
        false => Err(Failure::new(t!("%{key}: the signature is not of these bytes by this key", key = key))),
    }
}
