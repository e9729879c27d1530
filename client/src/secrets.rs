//! The operations on secrets.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::abreast::abreast;
use crate::client::{Client, Request};
use crate::error::{Error, Refused};
use crate::secret::{Value, base64};

/// Entries of one BatchGetSecretValue.
const BATCH: usize = 20;

/// Which version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Selector {
    /// The one that is labelled ACSCurrent.
    #[default]
    Current,
    /// The one with this label.
    Stage(String),
    /// The one with this id.
    Version(String),
}

impl Selector {
    fn stage(&self) -> Option<&str> {
        if let Selector::Stage(stage) = self { Some(stage) } else { None }
    }

    fn version(&self) -> Option<&str> {
        if let Selector::Version(version) = self { Some(version) } else { None }
    }
}

/// The value of a version of a secret.
#[derive(Debug)]
pub struct SecretValue {
    /// The secret's name.
    pub name: String,
    /// Which version it is.
    pub version: String,
    /// Its labels.
    pub stages: Vec<String>,
    /// The value: its bytes, also where the API carries them as Base64.
    pub data: Value,
    /// Whether it is binary.
    pub binary: bool,
    /// When the version was made, as the API writes times.
    pub created: String,
}

/// A secret that is to be.
#[derive(Debug, Default)]
pub struct NewSecret<'a> {
    /// Its name.
    pub name: &'a str,
    /// The id of its first version.
    pub version: &'a str,
    /// What it is for.
    pub description: Option<&'a str>,
    /// The key that it is to be under: id, alias or ARN; the account's default key where there is none.
    pub key: Option<&'a str>,
    /// Names and values.
    pub tags: &'a [(String, String)],
}

/// What is known of a secret beside its value.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Secret {
    /// Its name.
    pub secret_name: String,
    /// Where it is told: its ARN.
    #[serde(default)]
    pub arn: String,
    /// Generic, or Rds.
    pub secret_type: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The key that was chosen for it.
    #[serde(default)]
    pub encryption_key_id: Option<String>,
    /// When it was made.
    pub create_time: String,
    /// When it was changed last.
    pub update_time: String,
    /// When it will be gone, where that was asked for.
    #[serde(default)]
    pub planned_delete_time: Option<String>,
    /// `Enabled`, `Disabled` or `Invalid`; of managed secrets only.
    #[serde(default)]
    pub automatic_rotation: Option<String>,
    /// How often, of managed secrets.
    #[serde(default)]
    pub rotation_interval: Option<String>,
    /// The last time, of managed secrets.
    #[serde(default)]
    pub last_rotation_date: Option<String>,
    /// The next time, of managed secrets.
    #[serde(default)]
    pub next_rotation_date: Option<String>,
    #[serde(default, skip_serializing)]
    tags: Option<Tags>,
}

impl Secret {
    /// Its tags: names and values.
    pub fn tags(&self) -> Vec<(String, String)> {
        let tags = self.tags.iter().flat_map(|tags| &tags.tag);
        tags.map(|tag| (tag.tag_key.clone(), tag.tag_value.clone())).collect()
    }
}

/// A version of a secret, without its value.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its id.
    pub id: String,
    /// When it was made.
    pub created: String,
    /// Its labels.
    pub stages: Vec<String>,
}

/// Whether a version has this label.
impl Version {
    /// Whether it is the one that is read.
    pub fn is_current(&self) -> bool {
        self.stages.iter().any(|stage| stage == CURRENT)
    }
}

/// The label of the version that is read where nothing is said.
pub const CURRENT: &str = "ACSCurrent";

/// The label of the version before.
pub const PREVIOUS: &str = "ACSPrevious";

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Tags {
    tag: Vec<Tag>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    tag_key: String,
    tag_value: String,
}

/// Tags as a parameter.
pub(crate) fn tags_json(tags: &[(String, String)]) -> String {
    let tags: Vec<_> = tags.iter().map(|(k, v)| Tag { tag_key: k.clone(), tag_value: v.clone() }).collect();
    serde_json::to_string(&tags).unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawValue {
    secret_name: String,
    version_id: String,
    secret_data: Value,
    secret_data_type: String,
    #[serde(default)]
    version_stages: Stages,
    #[serde(default)]
    create_time: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Stages {
    version_stage: Vec<String>,
}

impl From<RawValue> for SecretValue {
    fn from(raw: RawValue) -> Self {
        let decoded = if raw.secret_data_type == "binary" { raw.secret_data.from_base64() } else { None };
        let binary = decoded.is_some();
        Self {
            name: raw.secret_name,
            version: raw.version_id,
            stages: raw.version_stages.version_stage,
            data: decoded.unwrap_or(raw.secret_data),
            binary,
            created: raw.create_time,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    secret_values: Vec<RawValue>,
    errors: Vec<BatchError>,
    #[serde(default)]
    request_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchError {
    secret_name: String,
    code: String,
    #[serde(default)]
    http_status: u16,
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretPage {
    total_count: usize,
    secret_list: SecretList,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretList {
    secret: Vec<Secret>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionPage {
    total_count: usize,
    version_ids: VersionIds,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionIds {
    version_id: Vec<RawVersion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawVersion {
    version_id: String,
    create_time: String,
    #[serde(default)]
    version_stages: Stages,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Password {
    random_password: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    policy: String,
}

/// An answer of a batch, and where it belongs.
type Placed = (usize, Result<SecretValue, Refused>);

/// Text or Base64, and the name of the type. Bytes that are no text go as Base64 whatever was said: as text they would be other bytes.
fn data(value: &Value, binary: bool) -> (String, &'static str) {
    match value.text().filter(|_| !binary) {
        Some(text) => (text.to_owned(), "text"),
        None => (base64(value), "binary"),
    }
}

impl Client {
    /// GetSecretValue.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn secret_value(&self, name: &str, which: &Selector) -> Result<SecretValue, Error> {
        let request = Request::new("GetSecretValue").with("SecretName", name);
        let request = request.maybe("VersionStage", which.stage()).maybe("VersionId", which.version());
        Ok(self.call::<RawValue>(&request)?.into())
    }

    /// BatchGetSecretValue: the values of many secrets, in the order asked for; what was refused stands where it was asked for. At most
    /// twenty different secrets go into a request; the requests of a longer list go abreast.
    ///
    /// # Errors
    /// As [`Client::call`], of a request as a whole.
    pub fn secret_values(&self, wanted: &[(String, Selector)]) -> Result<Vec<Result<SecretValue, Refused>>, Error> {
        // A batch holds a secret once.
        let mut batches: Vec<(HashSet<&str>, Vec<usize>)> = Vec::new();
        for (i, (name, _)) in wanted.iter().enumerate() {
            match batches.iter_mut().find(|(names, places)| places.len() < BATCH && !names.contains(name.as_str())) {
                Some((names, places)) => {
                    names.insert(name);
                    places.push(i);
                }
                None => batches.push((HashSet::from([name.as_str()]), vec![i])),
            }
        }
        let mut found: Vec<Option<Result<SecretValue, Refused>>> = (0..wanted.len()).map(|_| None).collect();
        for (place, result) in abreast(&batches, |(_, places)| self.batch(wanted, places))?.into_iter().flatten() {
            found[place] = Some(result);
        }
        let missing = || Error::Answer { action: "BatchGetSecretValue".to_owned(), reason: "an entry is missing".to_owned() };
        found.into_iter().map(|result| result.ok_or_else(missing)).collect()
    }

    /// One request, and where its answers belong.
    fn batch(&self, wanted: &[(String, Selector)], places: &[usize]) -> Result<Vec<Placed>, Error> {
        let entry = |place: &usize| {
            let (name, which) = &wanted[*place];
            let mut entry = serde_json::Map::from_iter([("SecretName".to_owned(), name.as_str().into())]);
            entry.extend(which.stage().map(|stage| ("VersionStage".to_owned(), stage.into())));
            entry.extend(which.version().map(|version| ("VersionId".to_owned(), version.into())));
            serde_json::Value::Object(entry)
        };
        let list = serde_json::Value::from(places.iter().map(entry).collect::<Vec<_>>());
        let answer: Batch = self.call(&Request::new("BatchGetSecretValue").with("SecretsList", list.to_string()))?;
        let place = |name: &str| {
            // A secret that was asked for by its ARN is answered by its name.
            let of = |wanted: &str| wanted == name || wanted.ends_with(&format!(":secret/{name}"));
            places.iter().copied().find(|place| of(&wanted[*place].0))
        };
        let mut found = Vec::new();
        for error in answer.errors {
            let denied = error.code == "Forbidden.NoPermission";
            let refused = Refused {
                action: "GetSecretValue".to_owned(),
                status: error.http_status,
                code: error.code,
                message: error.message,
                request_id: answer.request_id.clone(),
                access_key_id: self.access_key_id().to_owned(),
                // A batch says of no entry who lacks what; it can be this alone.
                auth_action: denied.then(|| "kms:GetSecretValue".to_owned()),
                ..Refused::default()
            };
            found.extend(place(&error.secret_name).map(|place| (place, Err(refused))));
        }
        for value in answer.secret_values {
            found.extend(place(&value.secret_name).map(|place| (place, Ok(value.into()))));
        }
        Ok(found)
    }

    /// CreateSecret, of a text, or of bytes (`binary`); bytes that are no text are never taken for one. Where an earlier attempt of this call
    /// got lost and made it, that is success.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn create_secret(&self, new: &NewSecret<'_>, value: &Value, binary: bool) -> Result<(), Error> {
        let (text, kind) = data(value, binary);
        let request = Request::new("CreateSecret").with("SecretName", new.name).with("VersionId", new.version);
        let request = request.with("SecretData", text).with("SecretDataType", kind);
        let request = request.maybe("Description", new.description).maybe("EncryptionKeyId", new.key);
        let tags = (!new.tags.is_empty()).then(|| tags_json(new.tags));
        match self.change(&request.maybe("Tags", tags), new.name, Some(new.version)).map(drop) {
            Err(Error::Refused(refused)) if refused.after_lost && refused.code == "Rejected.ResourceExist" => {
                // Whoever made it chose this version's id at random, as callers do, and this value.
                match self.secret_value(new.name, &Selector::Version(new.version.to_owned())) {
                    Ok(there) if there.data.expose() == value.expose() => Ok(()),
                    _ => Err(Error::Refused(refused)),
                }
            }
            other => other,
        }
    }

    /// PutSecretValue: another version, with these labels; ACSCurrent where there are none. The same again changes nothing. Bytes that are no
    /// text are binary, whatever is said of them.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn put_secret_value(
        &self,
        name: &str,
        version: &str,
        value: &Value,
        binary: bool,
        stages: &[&str],
    ) -> Result<(), Error> {
        let (text, kind) = data(value, binary);
        let request = Request::new("PutSecretValue").with("SecretName", name).with("VersionId", version);
        let stages = (!stages.is_empty()).then(|| serde_json::Value::from(stages.to_vec()).to_string());
        let request = request.with("SecretData", text).with("SecretDataType", kind).maybe("VersionStages", stages);
        self.change(&request, name, Some(version)).map(drop)
    }

    /// DescribeSecret, with tags.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn describe_secret(&self, name: &str) -> Result<Secret, Error> {
        self.call(&Request::new("DescribeSecret").with("SecretName", name).with("FetchTags", "true"))
    }

    /// The same of many, several at a time, in their order.
    ///
    /// # Errors
    /// As [`Client::call`], of the first that is refused.
    pub fn describe_secrets(&self, names: &[String]) -> Result<Vec<Secret>, Error> {
        abreast(names, |name| self.describe_secret(name))
    }

    /// ListSecrets: all whose names begin so, by name; each once, and none left out that was there all the time.
    ///
    /// # Errors
    /// As [`Client::call`]; [`Error::Changing`].
    pub fn list_secrets(&self, prefix: &str) -> Result<Vec<Secret>, Error> {
        let filter = serde_json::json!([{"Key": "SecretNamePrefix", "Values": [prefix]}]).to_string();
        let filter = (!prefix.is_empty()).then_some(filter);
        let request = || Request::new("ListSecrets").with("FetchTags", "true").maybe("Filters", filter.clone());
        self.list(request, |page: SecretPage| (page.total_count, page.secret_list.secret), |secret| &secret.secret_name)
    }

    /// ListSecretVersionIds: the versions, oldest first; those without labels too.
    ///
    /// # Errors
    /// As [`Client::call`]; [`Error::Changing`].
    pub fn list_secret_versions(&self, name: &str) -> Result<Vec<Version>, Error> {
        let request = || Request::new("ListSecretVersionIds").with("SecretName", name).with("IncludeDeprecated", "true");
        let entries = |page: VersionPage| (page.total_count, page.version_ids.version_id);
        let versions = self.list(request, entries, |version| &version.version_id)?;
        let version = |raw: RawVersion| Version {
            id: raw.version_id,
            created: raw.create_time,
            stages: raw.version_stages.version_stage,
        };
        Ok(versions.into_iter().map(version).collect())
    }

    /// UpdateSecretVersionStage: moves a label to a version (`to`), from the one that must have it (`from`), or both.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn move_stage(&self, name: &str, stage: &str, to: Option<&str>, from: Option<&str>) -> Result<(), Error> {
        let request = Request::new("UpdateSecretVersionStage").with("SecretName", name).with("VersionStage", stage);
        self.change(&request.maybe("MoveToVersion", to).maybe("RemoveFromVersion", from), name, None).map(drop)
    }

    /// DeleteSecret: after so many days, or at once. Gives the time from which on it is gone.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn delete_secret(&self, name: &str, days: Option<u32>) -> Result<Option<String>, Error> {
        let request = Request::new("DeleteSecret").with("SecretName", name);
        let request = match days {
            Some(days) => request.with("RecoveryWindowInDays", days.to_string()),
            None => request.with("ForceDeleteWithoutRecovery", "true"),
        };
        match self.change(&request, name, None) {
            Err(Error::Refused(r)) if r.after_lost && r.code == "Rejected.ResourceInDeleteWindow" => {
                Ok(self.describe_secret(name)?.planned_delete_time)
            }
            Err(Error::Refused(r)) if r.after_lost && days.is_none() && r.code == "Forbidden.ResourceNotFound" => Ok(None),
            other => Ok(other?.planned_delete_time),
        }
    }

    /// RestoreSecret.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn restore_secret(&self, name: &str) -> Result<(), Error> {
        match self.change(&Request::new("RestoreSecret").with("SecretName", name), name, None).map(drop) {
            Err(Error::Refused(r)) if r.after_lost && r.code == "Rejected.ResourceInUse" => Ok(()),
            other => other,
        }
    }

    /// RotateSecret: the server makes a new password for a managed secret, under this version's id.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn rotate_secret(&self, name: &str, version: &str) -> Result<(), Error> {
        let request = Request::new("RotateSecret").with("SecretName", name).with("VersionId", version);
        self.change(&request, name, Some(version)).map(drop)
    }

    /// UpdateSecret: its description.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn describe_secret_as(&self, name: &str, description: &str) -> Result<(), Error> {
        let request = Request::new("UpdateSecret").with("SecretName", name).with("Description", description);
        self.change(&request, name, None).map(drop)
    }

    /// TagResource.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn tag_secret(&self, name: &str, tags: &[(String, String)]) -> Result<(), Error> {
        self.run(&Request::new("TagResource").with("SecretName", name).with("Tags", tags_json(tags)))
    }

    /// UntagResource.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn untag_secret(&self, name: &str, keys: &[String]) -> Result<(), Error> {
        let keys = serde_json::Value::from(keys.to_vec()).to_string();
        self.run(&Request::new("UntagResource").with("SecretName", name).with("TagKeys", keys))
    }

    /// GetRandomPassword: so many characters, every kind of them in it.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn random_password(&self, length: u32) -> Result<Value, Error> {
        let request = Request::new("GetRandomPassword").with("PasswordLength", length.to_string());
        Ok(self.call::<Password>(&request.with("RequireEachIncludedType", "true"))?.random_password)
    }

    /// GetSecretPolicy: the policy of the secret itself, a JSON document.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn secret_policy(&self, name: &str) -> Result<String, Error> {
        Ok(self.call::<Policy>(&Request::new("GetSecretPolicy").with("SecretName", name))?.policy)
    }

    /// SetSecretPolicy.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn set_secret_policy(&self, name: &str, document: &str) -> Result<(), Error> {
        self.run(&Request::new("SetSecretPolicy").with("SecretName", name).with("Policy", document))
    }
}
