//! `bulla dev`: everything in one folder, to try the service and to develop against it.
//!
//! Owns: the folder's files below. Never touches the system's SoftHSM configuration. The folder holds the token, its PIN and the
//! database together, so whoever has it has the secrets: for trying things, not for keeping any.
//!
//! ```text
//! bulla.toml      the configuration; any command takes it by --data DIR
//! softhsm2.conf   and tokens/: the SoftHSM token
//! pin             its user PIN
//! bulla.db        the database, unless --database names another
//! audit/          the audit logs
//! ```

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::admin::{first_secret, init, output};
use crate::app::{Base, Failure, Server, context};
use crate::auth::access_key;
use crate::base::ids::{AccessKeyId, AccountId};
use crate::base::secret::{AccessKeySecret, Pin};
use crate::cli;
use crate::config::Config;
use crate::store::Abort;
use crate::token::{Token, softhsm};

/// Label of the token.
const LABEL: &str = "bulla-dev";

/// Region that the deployment answers as.
const REGION: &str = "cn-hangzhou";

/// The configuration file of a data folder.
pub fn config_file(folder: &Path) -> PathBuf {
    folder.join("bulla.toml")
}

/// Runs the command.
///
/// # Errors
/// Why it does not start.
pub fn run(dev: cli::Dev, json: bool) -> Result<(), Failure> {
    if !dev.listen.is_loopback() {
        return Err(Failure::new(format!("--listen {}: `bulla dev` serves plain HTTP on loopback only", dev.listen)));
    }
    let Some(folder) = dev.data.clone() else {
        let folder = tempfile::Builder::new().prefix("bulla-dev-").tempdir()?.keep();
        return Err(restart(&folder, &["--temporary"]));
    };
    fs::create_dir_all(&folder).map_err(context(folder.display()))?;
    enter(&folder)?;
    let config = furnish(&folder, dev.database.as_deref())?.listening_on(dev.listen)?;
    let base = init::begin(&config)?;
    init::first_account_create(&config, &base, &"dev".parse()?)?;
    let root = Root::of(&base)?;
    let server = Server::on(&config, base)?;
    let endpoint = server.address()?.to_string();
    let announced = std::thread::spawn({
        let folder = folder.clone();
        move || if json { root.announce_json(&endpoint) } else { root.announce(&endpoint, &folder) }
    });
    let served = server.run();
    if let Ok(Err(failure)) = announced.join() {
        log::error!("{}", failure);
    }
    if dev.temporary {
        fs::remove_dir_all(&folder).map_err(context(folder.display()))?;
    }
    served
}

/// Makes sure that this process sees the SoftHSM token of a data folder: SoftHSM finds its configuration through the environment,
/// which a process can only set for the program that it becomes.
///
/// # Errors
/// When the program cannot be started again. On success it either returns, or the process has become another.
pub fn enter(folder: &Path) -> Result<(), Failure> {
    let conf = softhsm::prepare(folder).map_err(context(folder.display()))?;
    if std::env::var_os(softhsm::CONF_VARIABLE).is_some_and(|set| Path::new(&set) == conf) {
        return Ok(());
    }
    Err(become_self(&conf, std::env::args_os().skip(1)))
}

/// Starts `bulla dev` again on a folder of its own.
fn restart(folder: &Path, more: &[&str]) -> Failure {
    match softhsm::prepare(folder) {
        Ok(conf) => {
            let folder = [std::ffi::OsString::from("--data"), folder.into()];
            become_self(&conf, std::env::args_os().skip(1).chain(folder).chain(more.iter().map(Into::into)))
        }
        Err(e) => context(folder.display())(e),
    }
}

fn become_self(conf: &Path, args: impl Iterator<Item = std::ffi::OsString>) -> Failure {
    crate::logging::flush(std::time::Duration::from_secs(1));
    match std::env::current_exe() {
        Ok(program) => Command::new(program).args(args).env(softhsm::CONF_VARIABLE, conf).exec().into(),
        Err(e) => e.into(),
    }
}

/// Makes what the folder lacks, and reads its configuration.
fn furnish(folder: &Path, database: Option<&str>) -> Result<Config, Failure> {
    let folder = std::path::absolute(folder)?;
    let module = softhsm::module().ok_or(Failure::new("SoftHSM is not installed (Debian: apt-get install softhsm2)"))?;
    let pin_file = folder.join("pin");
    if !pin_file.exists() {
        private_file(&pin_file, &random_text()?)?;
    }
    let file = config_file(&folder);
    if !file.exists() || database.is_some() {
        let sqlite = format!("sqlite:{}", folder.join("bulla.db").display());
        private_file(&file, &configuration(&folder, &module, database.unwrap_or(&sqlite)))?;
    }
    let config = Config::load(&file)?;
    let tokens = folder.join("tokens");
    if fs::read_dir(&tokens).map_err(context(tokens.display()))?.next().is_none() {
        let so_pin = Pin::new(random_text()?);
        Token::initialise(&config.token.module, LABEL, &so_pin, &config.token.pin()?).map_err(context("token"))?;
    }
    Ok(config)
}

fn configuration(folder: &Path, module: &Path, database: &str) -> String {
    let text = |path: &Path| toml_text(&path.to_string_lossy());
    format!(
        "# Written by `bulla dev`.\n\
         region = \"{REGION}\"\n\n\
         [token]\nmodule = {}\nlabel = \"{LABEL}\"\npin_file = {}\n\n\
         [database]\nurl = {}\nmigrate_at_start = true\n\n\
         [audit]\ndirectory = {}\n",
        text(module),
        text(&folder.join("pin")),
        toml_text(database),
        text(&folder.join("audit")),
    )
}

/// A TOML basic string; JSON's escapes are among TOML's.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn private_file(path: &Path, text: &str) -> Result<(), Failure> {
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(context(path.display()))
}

fn random_text() -> Result<String, Failure> {
    let mut bytes = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::new("no random bytes"))?;
    Ok(hex::encode(bytes))
}

/// The account's root, with its access key.
struct Root {
    account: AccountId,
    access_key: AccessKeyId,
    secret: AccessKeySecret,
}

impl Root {
    /// The first account's root, with the first of its access keys that is enabled.
    fn of(base: &Base) -> Result<Self, Failure> {
        let (account, key) = base.store.read("root", |tx| {
            let account = tx.accounts()?.into_iter().next();
            let account = account.ok_or_else(|| Abort::App(Failure::new("there is no account")))?;
            let key = tx.access_keys_of(&account.id, None)?.into_iter().find(|k| k.enabled);
            let key = key.ok_or_else(|| Abort::App(Failure::new("the account's root has no enabled access key")))?;
            Ok::<_, Abort<Failure>>((account, key))
        })?;
        let secret = access_key::open(&base.sys(), &key)
            .map_err(|e| Failure::new(format!("the root's access key does not open: {e:?}")))?;
        Ok(Self { account: account.id, access_key: key.id, secret })
    }

    fn secret_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.secret.expose())
    }

    fn announce_json(&self, endpoint: &str) -> Result<(), Failure> {
        first_secret::wait_until_ready(endpoint)?;
        output::line(&format!(
            r#"{{"Endpoint":"{endpoint}","RegionId":"{REGION}","AccountId":"{}","AccessKeyId":"{}","AccessKeySecret":"{}"}}"#,
            self.account,
            self.access_key,
            self.secret_text(),
        ))
    }

    fn announce(&self, endpoint: &str, folder: &Path) -> Result<(), Failure> {
        first_secret::wait_until_ready(endpoint)?;
        let value = first_secret::round_trip(endpoint, &self.access_key, &self.secret)?;
        let folder = folder.display();
        output::line(&format!(
            "\nbulla dev is ready.\n\n\
             \x20 Endpoint         {endpoint}   (plain HTTP)\n\
             \x20 RegionId         {REGION}\n\
             \x20 AccountId        {account}\n\
             \x20 AccessKeyId      {id}\n\
             \x20 AccessKeySecret  {secret}\n\
             \x20 Data folder      {folder}\n\n\
             First secret: {name} was created and read back through the API: {value}\n\n\
             From Python (pip install alibabacloud-kms20160120), unmodified:\n\n\
             \x20 from alibabacloud_kms20160120.client import Client\n\
             \x20 from alibabacloud_kms20160120 import models as m\n\
             \x20 from alibabacloud_tea_openapi.models import Config\n\
             \x20 kms = Client(Config(endpoint='{endpoint}', protocol='HTTP', region_id='{REGION}',\n\
             \x20     access_key_id='{id}', access_key_secret='{secret}'))\n\
             \x20 kms.create_secret(m.CreateSecretRequest(secret_name='app/db', version_id='v1', secret_data='s3cret'))\n\
             \x20 print(kms.get_secret_value(m.GetSecretValueRequest(secret_name='app/db')).body.secret_data)\n\n\
             A user who may only read secrets:\n\n\
             \x20 bulla user create reader --data {folder}\n\
             \x20 bulla policy attach AliyunKMSSecretUserAccess --user reader --data {folder}\n\
             \x20 bulla access-key create --user reader --data {folder}\n\n\
             Stop with Ctrl-C.",
            account = self.account,
            id = self.access_key,
            secret = self.secret_text(),
            name = first_secret::NAME,
        ))
    }
}
