//! Who asks, and where: from flags, the environment, a profile, the service manager, the `aliyun` CLI's file; in this order.
//!
//! A profile that is named on the command line goes before the environment. Both halves of an access key come from one place.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bulla_client::{AccessKey, Client, Scheme};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::failure;
use crate::base::failure::{Class, Failure};
use crate::base::host::is_loopback;
use crate::base::locale::{self, t};
use crate::cli::Connection;

/// The file of a folder that `bulla dev` wrote.
const FOLDER_FILE: &str = "profile.toml";

/// The file of profiles that `bulla login` writes.
const CONFIG_FILE: &str = "config.toml";

/// The variables of an access key.
const ACCESS_KEY_ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const ACCESS_KEY_SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";

/// The profile where nobody names one.
pub const DEFAULT: &str = "default";

/// What a profile says. Paths begin in the folder of its file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Written {
    endpoint: Option<String>,
    ca_file: Option<PathBuf>,
    region: Option<String>,
    access_key_id: Option<String>,
    secret_file: Option<PathBuf>,
    secret_command: Option<String>,
    client_certificate_file: Option<PathBuf>,
    client_key_file: Option<PathBuf>,
    /// `acs3` or `rpc`.
    signature: Option<String>,
    /// Where all this is written.
    #[serde(skip)]
    file: PathBuf,
}

/// `config.toml`
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ConfigFile {
    profile: BTreeMap<String, Written>,
}

impl Written {
    /// The files of a client certificate and its key.
    fn identity(&self, folder: &Path, name: &str) -> Result<Option<(PathBuf, PathBuf)>, Failure> {
        match (&self.client_certificate_file, &self.client_key_file) {
            (Some(certificate), Some(key)) => Ok(Some((folder.join(certificate), folder.join(key)))),
            (None, None) => Ok(None),
            _ => {
                Err(Failure::local(t!("profile %{name}: client_certificate_file and client_key_file go together", name = name)))
            }
        }
    }

    /// How requests are signed.
    fn scheme(&self, name: &str) -> Result<Scheme, Failure> {
        match self.signature.as_deref() {
            None | Some("acs3") => Ok(Scheme::Acs3),
            Some("rpc") => Ok(Scheme::Rpc),
            Some(other) => Err(Failure::local(t!(
                "profile %{name}: no signature is called %{other}",
                name = name,
                other = format!("{other:?}")
            ))
            .hint(t!("acs3, or rpc"))),
        }
    }
}

/// Everything that a client needs.
pub struct Profile {
    /// Where the access key comes from.
    pub source: String,
    /// http(s)://HOST:PORT
    pub endpoint: String,
    ca_file: Option<PathBuf>,
    access_key: AccessKey,
    identity: Option<(PathBuf, PathBuf)>,
    scheme: Scheme,
}

impl Profile {
    /// Finds out.
    ///
    /// # Errors
    /// What is missing, and where it was looked for.
    pub fn find(connection: &Connection) -> Result<Self, Failure> {
        let asked = connection.profile.clone();
        let named = named(asked.as_deref());
        let (written, folder, name) = match &named {
            Some(name) => read_named(name)?,
            None => {
                let endpoint = connection.endpoint.is_some() || variable("BULLA_ENDPOINT").is_some();
                let key = variable(ACCESS_KEY_ID).is_some() && variable(ACCESS_KEY_SECRET).is_some();
                read_default(!(endpoint && key))?
            }
        };
        // A profile of the command line stands before the environment, any other behind it.
        let first = |variable: Option<String>, written: Option<String>| match asked {
            Some(_) => written.or(variable),
            None => variable.or(written),
        };
        let path = |path: &PathBuf| folder.join(path).to_string_lossy().into_owned();
        let endpoint = connection.endpoint.clone().or_else(|| first(variable("BULLA_ENDPOINT"), written.endpoint.clone()));
        let endpoint = endpoint.ok_or_else(|| {
            let failure = Failure::local(t!("no server is known"));
            failure.hint(t!(
                "`bulla login --endpoint URL` keeps one; or --endpoint URL, $BULLA_ENDPOINT, --profile DIR of `bulla dev`"
            ))
        })?;
        let ca_file = first(variable("BULLA_CA_FILE"), written.ca_file.as_ref().map(path)).map(PathBuf::from);
        let ca_file = connection.ca.clone().or(ca_file);
        let (identity, scheme) = (written.identity(&folder, &name)?, written.scheme(&name)?);
        let (access_key, source) = access_key(&written, &folder, &name, asked.is_some())?;
        let endpoint = with_scheme(&endpoint, ca_file.is_some());
        if connection.endpoint.is_some() {
            // Of the command line, where a file's or a variable's would be this host's.
            bulla_client::host_of(endpoint.trim_end_matches('/')).map_err(|e| failure("")(e).class(Class::Usage))?;
        }
        Ok(Self { source, endpoint, ca_file, access_key, identity, scheme })
    }

    /// One that is not written yet: with what is known of it, another access key.
    pub fn new(name: &str, endpoint: &str, ca_file: Option<PathBuf>, known: Known, access_key: AccessKey) -> Self {
        let endpoint = with_scheme(endpoint, ca_file.is_some());
        Self { source: of_profile(name), endpoint, ca_file, access_key, identity: known.identity, scheme: known.scheme }
    }

    /// A client of its server, which tries each call so often.
    ///
    /// # Errors
    /// When a file or the endpoint is not as it should be.
    pub fn client(self, attempts: u32) -> Result<Client, Failure> {
        let mut builder = Client::builder(&self.endpoint).access_key(self.access_key).scheme(self.scheme).attempts(attempts);
        if let Some(file) = &self.ca_file {
            builder = builder.ca_file(file);
        }
        if let Some((certificate, key)) = &self.identity {
            builder = builder.client_certificate(certificate, key);
        }
        builder.build().map_err(failure(""))
    }
}

/// What a profile says beside its access key.
#[derive(Default)]
pub struct Known {
    /// As it is written.
    pub endpoint: Option<String>,
    /// The file, from wherever this process is.
    pub ca_file: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    scheme: Scheme,
}

impl Known {
    /// What a folder's `config.toml` says of a profile; nothing where it does not name it.
    ///
    /// # Errors
    /// When the file is not as it should be.
    pub fn of(folder: &Path, name: &str) -> Result<Self, Failure> {
        let Some(written) = read_profile(folder, name)? else { return Ok(Self::default()) };
        let (identity, scheme) = (written.identity(folder, name)?, written.scheme(name)?);
        Ok(Self { ca_file: written.ca_file.map(|file| folder.join(file)), endpoint: written.endpoint, identity, scheme })
    }
}

/// HOST:PORT alone, as the SDKs take it, is https, but for a server of this machine without an authority: that one is `bulla dev`.
fn with_scheme(endpoint: &str, authority: bool) -> String {
    if endpoint.contains("://") {
        return endpoint.to_owned();
    }
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    let here = is_loopback(host.trim_start_matches('[').trim_end_matches(']'));
    if here && !authority { format!("http://{endpoint}") } else { format!("https://{endpoint}") }
}

/// A variable that is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where `bulla login` writes: $XDG_CONFIG_HOME/bulla, else ~/.config/bulla.
pub fn config_folder() -> Option<PathBuf> {
    let home = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(home()?.join(".config")));
    Some(home?.join("bulla"))
}

/// The same, where nothing can be done without it.
///
/// # Errors
/// When this user has no home.
pub fn folder_of_config() -> Result<PathBuf, Failure> {
    config_folder().ok_or_else(|| {
        Failure::local(t!("neither $XDG_CONFIG_HOME nor $HOME is set")).hint(t!("profiles are kept in $HOME/.config/bulla"))
    })
}

fn home() -> Option<PathBuf> {
    variable("HOME").map(PathBuf::from)
}

type Found = (Written, PathBuf, String);

fn read_named(name: &str) -> Result<Found, Failure> {
    let folder = Path::new(name);
    let file = folder.join(FOLDER_FILE);
    if let Some(config) = config_folder() {
        match read_profile(&config, name) {
            Ok(Some(written)) => return Ok((written, config, name.to_owned())),
            // A folder needs no other file.
            Err(failure) if !file.exists() => return Err(failure),
            _ => {}
        }
    }
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok((Written { file: file.clone(), ..parse(&text, &file)? }, folder.to_owned(), name.to_owned())),
        Err(error) if folder.is_dir() || name.contains('/') => {
            let failure = Failure::local(locale::about(file.display(), locale::os(&error)));
            Err(failure.hint(t!("`bulla dev --data DIR` writes it when it is ready")))
        }
        Err(_) => {
            let config = config_folder().unwrap_or_default().join("config.toml");
            let failure = Failure::local(t!(
                "no profile %{name} in %{file}, and no such folder",
                name = format!("{name:?}"),
                file = config.display()
            ));
            Err(failure.hint(t!("`bulla login --profile %{name}` makes it", name = name)))
        }
    }
}

/// The default profile; `needed` where the environment does not say server and access key.
fn read_default(needed: bool) -> Result<Found, Failure> {
    let Some(folder) = config_folder() else { return Ok((Written::default(), PathBuf::new(), DEFAULT.to_owned())) };
    let written = match read_profile(&folder, DEFAULT) {
        Err(failure) if needed => return Err(failure),
        found => found.ok().flatten(),
    };
    Ok((written.unwrap_or_default(), folder, DEFAULT.to_owned()))
}

/// A profile of a folder's `config.toml`, where that has it.
fn read_profile(folder: &Path, name: &str) -> Result<Option<Written>, Failure> {
    let written = read_config(folder)?.profile.remove(name);
    Ok(written.map(|written| Written { file: folder.join(CONFIG_FILE), ..written }))
}

/// The profile that is named: on the command line, or else by $BULLA_PROFILE.
pub fn named(asked: Option<&str>) -> Option<String> {
    asked.map(str::to_owned).or_else(|| variable("BULLA_PROFILE"))
}

/// What a profile says of itself, but for secrets.
pub struct Kept {
    pub name: String,
    pub endpoint: Option<String>,
    pub access_key_id: Option<String>,
}

/// The profiles of a folder's `config.toml`.
///
/// # Errors
/// When the file is not as it should be.
pub fn kept(folder: &Path) -> Result<Vec<Kept>, Failure> {
    let profiles = read_config(folder)?.profile.into_iter();
    let of = |(name, Written { endpoint, access_key_id, .. })| Kept { name, endpoint, access_key_id };
    Ok(profiles.map(of).collect())
}

fn read_config(folder: &Path) -> Result<ConfigFile, Failure> {
    let file = folder.join(CONFIG_FILE);
    match std::fs::read_to_string(&file) {
        Ok(text) => parse(&text, &file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ConfigFile::default()),
        Err(error) => Err(Failure::of_file(&file)(error)),
    }
}

/// Reads a TOML text.
///
/// # Errors
/// In which line something is wrong, and what.
pub fn parse<T: serde::de::DeserializeOwned>(text: &str, file: &Path) -> Result<T, Failure> {
    toml::from_str(text).map_err(|e: toml::de::Error| {
        let line = e.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        let line = line.map(|line| t!(", line %{line}", line = line)).unwrap_or_default();
        Failure::local(locale::about(format!("{}{line}", file.display()), e.message()))
    })
}

/// Where an access key can be.
type Place<'p> = &'p dyn Fn() -> Result<Option<AccessKey>, Failure>;

/// The access key, from the first place that has one, and what that place is called.
fn access_key(written: &Written, folder: &Path, name: &str, named: bool) -> Result<(AccessKey, String), Failure> {
    let of_file = || -> Result<Option<AccessKey>, Failure> {
        let Some(id) = &written.access_key_id else { return Ok(None) };
        Ok(Some(AccessKey::new(id, secret_of(written, folder, name)?)))
    };
    let places: [(Place<'_>, String); 4] = [
        (&of_environment, t!("environment").into_owned()),
        (&of_file, of_profile(name)),
        (&of_service_manager, "$CREDENTIALS_DIRECTORY/bulla-access-key".to_owned()),
        (&of_aliyun, "~/.aliyun/config.json".to_owned()),
    ];
    // A profile of the command line goes before the environment, and what is behind it is not meant.
    let order: &[usize] = if named { &[1, 0] } else { &[0, 1, 2, 3] };
    for place in order {
        let (find, source) = &places[*place];
        if let Some(key) = find()? {
            return Ok((key, source.clone()));
        }
    }
    let failure = Failure::local(if named {
        t!("profile %{name} has no access_key_id", name = name)
    } else {
        t!("no access key is known")
    });
    let hint = t!("`bulla login` keeps one; or $ALIBABA_CLOUD_ACCESS_KEY_ID and $ALIBABA_CLOUD_ACCESS_KEY_SECRET");
    Err(failure.hint(hint))
}

/// What the place of a profile's access key is called.
fn of_profile(name: &str) -> String {
    t!("profile %{name}", name = name).into_owned()
}

fn of_environment() -> Result<Option<AccessKey>, Failure> {
    let (id, secret) = (ACCESS_KEY_ID, ACCESS_KEY_SECRET);
    let key = match (variable(id), variable(secret)) {
        (Some(id), Some(secret)) => AccessKey::new(id, secret),
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(half(id, secret)),
        (None, Some(_)) => return Err(half(secret, id)),
    };
    if variable("ALIBABA_CLOUD_SECURITY_TOKEN").is_some() {
        let failure = Failure::new(t!("$ALIBABA_CLOUD_SECURITY_TOKEN is set: temporary credentials are another service's"));
        return Err(failure.class(Class::Denied).hint(t!("unset it and use an access key of this deployment")));
    }
    Ok(Some(key))
}

fn half(there: &str, missing: &str) -> Failure {
    Failure::local(t!("$%{there} is set, and $%{missing} is not", there = there, missing = missing))
        .hint(t!("set both; or neither, and the profile's access key is taken"))
}

/// The secret half that a profile names.
fn secret_of(written: &Written, folder: &Path, name: &str) -> Result<String, Failure> {
    match (&written.secret_file, &written.secret_command) {
        (Some(file), None) => {
            let file = folder.join(file);
            let text = private_text(&file, true)?;
            first_line(&text).ok_or_else(|| {
                Failure::local(t!("%{file}: it is empty", file = file.display())).hint(t!("one line: the access key's secret"))
            })
        }
        (None, Some(command)) => {
            trusted(&written.file)?;
            secret_by_command(command, name)
        }
        (None, None) => Err(Failure::local(t!("profile %{name} has an access_key_id and no secret", name = name))
            .hint(t!("secret_file = \"FILE\", or secret_command = \"pass show bulla\""))),
        (Some(_), Some(_)) => Err(Failure::local(t!("profile %{name}: secret_file or secret_command, not both", name = name))),
    }
}

/// Whether a file that names a program is this user's or root's, and nobody else may write it: who can, runs programs as this user.
fn trusted(file: &Path) -> Result<(), Failure> {
    let found = std::fs::metadata(file).map_err(Failure::of_file(file))?;
    if found.uid() != 0 && found.uid() != rustix::process::geteuid().as_raw() {
        let failure = Failure::local(t!(
            "%{file}: it has a secret_command and belongs to another user (uid %{uid}), so it is not run",
            file = file.display(),
            uid = found.uid()
        ));
        return Err(failure.hint(t!("put a copy of your own in its place, if what it says is yours")));
    }
    if found.mode() & 0o022 != 0 {
        let mode = format!("{:04o}", found.mode() & 0o7777);
        let failure = Failure::local(t!(
            "%{file}: it has a secret_command, and others may write it (mode %{mode}), so it is not run",
            file = file.display(),
            mode = mode
        ));
        return Err(failure.hint(t!("chmod go-w %{file}, if what it says is yours", file = file.display())));
    }
    Ok(())
}

fn secret_by_command(command: &str, name: &str) -> Result<String, Failure> {
    let failed = |reason: String| {
        Failure::local(t!("profile %{name}: secret_command: %{reason}", name = name, reason = reason))
            .hint(t!("run it by itself: it has to print the access key's secret, and to end with 0"))
    };
    // A person at a terminal may be asked; a pipe is the value or the program's, and not the command's to read.
    let asks = if io::stdin().is_terminal() { Stdio::inherit() } else { Stdio::null() };
    let shell = Command::new("/bin/sh").arg("-c").arg(command).stdin(asks).stderr(Stdio::inherit()).output();
    let ended = shell.map_err(|e| failed(locale::os(&e)))?;
    let text = Zeroizing::new(ended.stdout);
    if !ended.status.success() {
        return Err(failed(ended.status.to_string()));
    }
    let text = Zeroizing::new(String::from_utf8_lossy(&text).into_owned());
    first_line(&text).ok_or_else(|| failed(t!("it prints nothing").into_owned()))
}

fn first_line(text: &str) -> Option<String> {
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

/// A file with a secret in it; `strict` where nobody but its owner may be able to read it.
fn private_text(file: &Path, strict: bool) -> Result<Zeroizing<String>, Failure> {
    let named = Failure::of_file(file);
    let text = Zeroizing::new(std::fs::read_to_string(file).map_err(&named)?);
    let mode = std::fs::metadata(file).map_err(&named)?.permissions().mode();
    if strict && mode & 0o077 != 0 {
        let mode = format!("{:04o}", mode & 0o7777);
        let failure = Failure::local(t!("%{file}: others may read it (mode %{mode})", file = file.display(), mode = mode));
        return Err(failure
            .hint(t!("chmod 600 %{file}; and if others could have read it, make a new access key", file = file.display())));
    }
    Ok(text)
}

/// What systemd's LoadCredential=bulla-access-key gives: id and secret, on two lines or with a colon between.
fn of_service_manager() -> Result<Option<AccessKey>, Failure> {
    let Some(folder) = variable("CREDENTIALS_DIRECTORY") else { return Ok(None) };
    let file = Path::new(&folder).join("bulla-access-key");
    if !file.exists() {
        return Ok(None);
    }
    // The service manager made it for this service.
    let text = private_text(&file, false)?;
    let mut words = text.split([':', '\n', '\r', ' ', '\t']).filter(|word| !word.is_empty());
    match (words.next(), words.next(), words.next()) {
        (Some(id), Some(secret), None) => Ok(Some(AccessKey::new(id, secret))),
        _ => Err(Failure::local(t!("%{file}: not ID:SECRET", file = file.display()))),
    }
}

#[derive(Deserialize)]
struct Aliyun {
    #[serde(default)]
    current: String,
    #[serde(default)]
    profiles: Vec<AliyunProfile>,
}

#[derive(Deserialize)]
struct AliyunProfile {
    #[serde(default)]
    name: String,
    #[serde(default)]
    mode: String,
    #[serde(default)]
    access_key_id: String,
    #[serde(default)]
    access_key_secret: String,
}

/// The current profile of the `aliyun` CLI, where it is an access key.
fn of_aliyun() -> Result<Option<AccessKey>, Failure> {
    let Some(file) = home().map(|home| home.join(".aliyun/config.json")).filter(|file| file.exists()) else { return Ok(None) };
    let text = private_text(&file, true)?;
    let config: Aliyun = serde_json::from_str(&text).map_err(|e| {
        Failure::local(t!(
            "%{file}: line %{line}, column %{column}",
            file = file.display(),
            line = e.line(),
            column = e.column()
        ))
    })?;
    let current = config.profiles.into_iter().find(|p| p.name == config.current && p.mode == "AK");
    Ok(current.filter(|p| !p.access_key_id.is_empty()).map(|p| AccessKey::new(p.access_key_id, p.access_key_secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_without_a_scheme_is_plain_on_this_machine_only() {
        for (given, authority, expected) in [
            ("127.0.0.1:8080", false, "http://127.0.0.1:8080"),
            ("localhost:8080", false, "http://localhost:8080"),
            ("[::1]:8080", false, "http://[::1]:8080"),
            ("127.0.0.1:8080", true, "https://127.0.0.1:8080"),
            ("kms.example:8443", false, "https://kms.example:8443"),
            ("127.example:8443", false, "https://127.example:8443"),
            ("http://kms.example", true, "http://kms.example"),
        ] {
            assert_eq!(with_scheme(given, authority), expected, "{given}");
        }
    }
}
