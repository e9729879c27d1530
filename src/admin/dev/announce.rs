//! What `bulla dev` says once it serves: the first secret, how to call it, and the same for programs.

use std::path::{Path, PathBuf};

use super::REGION;
use super::folder::{private_file, toml_text};
use super::root::Root;
use super::seed::Seed;
use crate::admin::client::{Client, Target};
use crate::admin::output;
use crate::app::Failure;

/// Name of the first secret.
const NAME: &str = "bulla/first-secret";

/// Its value.
const VALUE: &str = "Sealed by the token. 你好";

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
    /// Waits for the server, makes the secrets, writes the files for clients, and says so.
    pub(super) fn make(self) -> Result<(), Failure> {
        self.target.wait_until_ready()?;
        let client = Client::new(&self.target, &self.root.access_key, &self.root.secret);
        for (name, value) in &self.seed {
            client.create_secret(name, value, "made by `bulla dev --seed`")?;
        }
        self.write_files()?;
        if self.json {
            return output::line(&self.for_programs());
        }
        client.create_secret(NAME, VALUE, "made by `bulla dev`")?;
        let value = client.secret_value(NAME)?;
        output::line(&self.for_people(&value))
    }

    fn scheme(&self) -> &'static str {
        if self.target.authority.is_some() { "https" } else { "http" }
    }

    /// The authority's file, whole.
    fn authority(&self) -> Option<String> {
        let file = self.target.authority.as_ref()?;
        Some(std::path::absolute(file).unwrap_or_else(|_| file.clone()).display().to_string())
    }

    /// `profile.toml` and `env.sh`.
    fn write_files(&self) -> Result<(), Failure> {
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
             From a shell, the variables that official SDKs read:  . {folder}/env.sh\n\n\
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
