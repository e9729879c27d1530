//! What `bulla dev` says once it serves: the first secret, how to call it, and the same for programs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bulla_client::{AccessKey, Client, NewSecret, Selector, Value};

use super::REGION;
use super::folder::{private_file, toml_text};
use super::root::Root;
use super::seed::Seed;
use crate::app::{Failure, context};
use crate::base::failure::Reason;
use crate::output::{self, progress::Progress};

impl Reason for bulla_client::Error {}

/// Name of the first secret.
const NAME: &str = "bulla/first-secret";

/// Its value.
const VALUE: &str = "Sealed by the token. 你好";

/// How long the server may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// The server of this process.
pub(super) struct Target {
    /// Address and port.
    pub(super) endpoint: String,
    /// The file of the authority that signed its certificate; none for plain HTTP.
    pub(super) authority: Option<PathBuf>,
}

/// Everything that is to be said.
pub(super) struct Announcement {
    pub(super) root: Root,
    pub(super) target: Target,
    pub(super) folder: PathBuf,
    pub(super) seed: Seed,
    pub(super) json: bool,
}

/// What whoever finds the folder in use can do.
pub(super) fn running(folder: &Path) -> String {
    let profile = std::fs::read_to_string(folder.join("profile.toml")).unwrap_or_default();
    let endpoint = profile.lines().find_map(|line| line.strip_prefix("endpoint = "));
    match endpoint {
        Some(endpoint) => format!("it answers at {}; stop it, or name another --data", endpoint.trim_matches('"')),
        None => "stop it, or name another --data".to_owned(),
    }
}

impl Announcement {
    /// Waits for the server, makes the secrets, and says so.
    pub(super) fn make(self) -> Result<(), Failure> {
        let client = self.client()?;
        wait_until_ready(&client)?;
        let progress = Progress::logged("secrets of the seed: made", self.seed.len());
        let seeded = self.seed.iter().try_for_each(|(name, value)| {
            create(&client, name, value, "made by `bulla dev --seed`")?;
            progress.more(1);
            Ok::<_, Failure>(())
        });
        progress.end();
        seeded?;
        if self.json {
            return output::line(&self.for_programs());
        }
        create(&client, NAME, VALUE, "made by `bulla dev`")?;
        let value = client.secret_value(NAME, &Selector::Current).map_err(context(NAME))?;
        output::line(&self.for_people(value.data.text().unwrap_or_default()))
    }

    fn client(&self) -> Result<Client, Failure> {
        let key = AccessKey::new(self.root.access_key.as_str(), self.root.secret_text());
        let builder = Client::builder(&format!("{}://{}", self.scheme(), self.target.endpoint)).access_key(key);
        let builder = match &self.target.authority {
            Some(file) => builder.ca_file(file),
            None => builder,
        };
        builder.build().map_err(Failure::from)
    }

    fn scheme(&self) -> &'static str {
        if self.target.authority.is_some() { "https" } else { "http" }
    }

    /// The authority's file, whole.
    fn authority(&self) -> Option<String> {
        let file = self.target.authority.as_ref()?;
        Some(std::path::absolute(file).unwrap_or_else(|_| file.clone()).display().to_string())
    }

    /// `profile.toml` and `env.sh`: before the server answers, so that who finds it ready finds them too.
    pub(super) fn write_files(&self) -> Result<(), Failure> {
        let (scheme, endpoint, id) = (self.scheme(), &self.target.endpoint, &self.root.access_key);
        let secret = self.root.secret_text();
        private_file(&self.folder.join("access-key-secret"), &format!("{secret}\n"))?;
        let authority = if self.target.authority.is_some() { "ca_file = \"tls/ca.crt\"\n" } else { "" };
        let profile = format!(
            "# Written by `bulla dev`, for clients. Paths begin in this folder.\nendpoint = {}\nregion = \"{REGION}\"\n{authority}\
             access_key_id = \"{id}\"\nsecret_file = \"access-key-secret\"\n",
            toml_text(&format!("{scheme}://{endpoint}")),
        );
        private_file(&self.folder.join("profile.toml"), &profile)?;
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let mut variables = vec![
            ("BULLA_ENDPOINT", endpoint.clone()),
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", id.to_string()),
            ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret.into_owned()),
            ("ALIBABA_CLOUD_REGION_ID", REGION.to_owned()),
        ];
        variables.extend(self.authority().map(|file| ("BULLA_CA_FILE", file)));
        let lines = variables.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value)));
        let text = format!("# Written by `bulla dev`: . env.sh\n{}", lines.collect::<String>());
        private_file(&self.folder.join("env.sh"), &text)
    }

    fn for_programs(&self) -> String {
        let mut row = output::Output::row([
            ("Endpoint", self.target.endpoint.as_str().into()),
            ("RegionId", REGION.into()),
            ("AccountId", self.root.account.to_string().into()),
            ("AccessKeyId", self.root.access_key.to_string().into()),
            ("AccessKeySecret", self.root.secret_text().into()),
            ("Scheme", self.scheme().into()),
        ]);
        row.extend(self.authority().map(|file| ("CaFile", file.into())));
        // Such rows always have a JSON form.
        output::Output::One(row).json().unwrap_or_default()
    }

    fn for_people(&self, value: &str) -> String {
        let (endpoint, id, secret) = (&self.target.endpoint, &self.root.access_key, self.root.secret_text());
        let folder = self.folder.display();
        let authority = self.authority();
        let (way, protocol) = match &authority {
            Some(file) => (format!("TLS; clients trust {file}"), format!("ca='{file}'")),
            None => ("plain HTTP".to_owned(), "protocol='HTTP'".to_owned()),
        };
        let seeded = match self.seed.len() {
            0 => String::new(),
            n => format!("{n} secrets of the seed are there.\n"),
        };
        format!(
            "\nbulla dev is ready.\n\n\
             \x20 Endpoint         {endpoint}   ({way})\n\
             \x20 RegionId         {REGION}\n\
             \x20 AccountId        {account}\n\
             \x20 AccessKeyId      {id}\n\
             \x20 AccessKeySecret  {secret}\n\
             \x20 Data folder      {folder}\n\n\
             {seeded}\
             First secret: {NAME} was created and read back through the API: {value}\n\n\
             From a shell:  bulla --profile {folder} secret get {NAME}\n\
             The variables that official SDKs read:  . {folder}/env.sh\n\n\
             From Python (pip install alibabacloud-kms20160120), unmodified:\n\n\
             \x20 from alibabacloud_kms20160120.client import Client\n\
             \x20 from alibabacloud_kms20160120 import models as m\n\
             \x20 from alibabacloud_tea_openapi.models import Config\n\
             \x20 kms = Client(Config(endpoint='{endpoint}', {protocol}, region_id='{REGION}',\n\
             \x20     access_key_id='{id}', access_key_secret='{secret}'))\n\
             \x20 kms.create_secret(m.CreateSecretRequest(secret_name='app/db', version_id='v1', secret_data='s3cret'))\n\
             \x20 print(kms.get_secret_value(m.GetSecretValueRequest(secret_name='app/db')).body.secret_data)\n\n\
             Other languages: docs/clients.md.\n\n\
             A user who may only read secrets:\n\n\
             \x20 bulla user create reader --data {folder}\n\
             \x20 bulla policy attach AliyunKMSSecretUserAccess --user reader --data {folder}\n\
             \x20 bulla access-key create --user reader --data {folder}\n\n\
             Stop with Ctrl-C.",
            account = self.root.account,
        )
    }
}

/// Waits until the server says that token, database and audit log all answer.
fn wait_until_ready(client: &Client) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let last = match client.readiness() {
            Ok(look) if look.status == 200 => return Ok(()),
            Ok(look) => format!("{} {}", look.status, look.text),
            Err(e) => e.to_string(),
        };
        if begun.elapsed() > READY_WITHIN {
            return Err(Failure::unavailable(format!("the server is not ready: {last}")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Creates a secret, unless there is one of that name.
fn create(client: &Client, name: &str, value: &str, description: &str) -> Result<(), Failure> {
    let new = NewSecret { name, version: "v1", description: Some(description), ..NewSecret::default() };
    match client.create_secret(&new, &Value::new(value.as_bytes().to_vec()), false) {
        Err(error) if error.code() != "Rejected.ResourceExist" => Err(context(name)(error)),
        _ => Ok(()),
    }
}
