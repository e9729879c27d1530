//! CreateSecret: makes a secret with its first version, which is marked ACSCurrent.
//!
//! The value is encrypted under the CMK that EncryptionKeyId names, which needs `kms:GenerateDataKey` on it, or under the account's
//! default CMK, which the service makes on first use. Only the value is encrypted; name, version, tags and description are not.
//!
//! An Rds secret (SecretType) holds accounts of a database server that the configuration names; see `secrets::rotation`.

use serde::{Deserialize, Serialize};

use crate::api::fields::Description;
use crate::api::fields::Text;
use crate::api::policies::PolicyText;
use crate::api::secrets::fields::SecretData;
use crate::api::secrets::managed::ExtendedConfig;
use crate::api::secrets::{RotationFields, rotation_interval};
use crate::api::tags::fields::NewTags;
use crate::api::{Context, Effect, Input, Operation, Resource, Target, UsedKey};
use crate::base::field::{Field, Why};
use crate::base::ids::{KeyRef, KmsInstanceId, SecretName, VersionId};
use crate::base::words::{DataType, SecretType};
use crate::error::Error;
use crate::keys::Use;
use crate::secrets::{NewManaged, NewSecret, NewVersion};

pub struct CreateSecret;

/// Parameters. ExtendedConfig and RotationInterval mean nothing for a Generic secret, whatever they hold.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretName,
    version_id: VersionId,
    secret_data: SecretData,
    secret_data_type: Option<DataType>,
    encryption_key_id: Option<KeyRef>,
    description: Option<Description>,
    tags: Option<NewTags>,
    secret_type: Option<SecretType>,
    extended_config: Option<Text>,
    enable_automatic_rotation: Option<bool>,
    rotation_interval: Option<Text>,
    policy: Option<PolicyText>,
    #[serde(rename = "DKMSInstanceId")]
    kms_instance: Option<KmsInstanceId>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    arn: String,
    secret_name: SecretName,
    version_id: VersionId,
    secret_type: SecretType,
    #[serde(rename = "DKMSInstanceId", skip_serializing_if = "Option::is_none")]
    kms_instance: Option<KmsInstanceId>,
    #[serde(flatten)]
    rotation: Option<RotationFields>,
}

impl Request {
    /// What makes it a managed secret; none for a Generic one.
    fn managed(&self) -> Result<Option<NewManaged>, Error> {
        let by_itself = self.enable_automatic_rotation == Some(true);
        match self.secret_type.unwrap_or(SecretType::Generic) {
            SecretType::Generic if by_itself => {
                let why = Why::naming("Only managed secrets ({} Rds) rotate by themselves.", &[Field::SecretType]);
                return Err(Error::invalid_since(Field::EnableAutomaticRotation, why));
            }
            SecretType::Generic => return Ok(None),
            SecretType::Rds => {}
            SecretType::Redis | SecretType::PolarDb | SecretType::RamCredentials | SecretType::Ecs => {
                return Err(Error::SecretTypeNotSupported);
            }
        }
        if self.secret_data_type.is_some_and(|t| t != DataType::Text) {
            return Err(Error::invalid_since(Field::SecretDataType, "Managed secrets are text."));
        }
        let config = self.extended_config.as_ref().ok_or(Error::Missing(Field::ExtendedConfig))?;
        let config: ExtendedConfig = config.0.parse().map_err(|m| Error::from((Field::ExtendedConfig, m)))?;
        let interval_ms = rotation_interval(by_itself, self.rotation_interval.as_ref())?;
        let ExtendedConfig { sub_type, instance, custom_data } = config;
        Ok(Some(NewManaged { sub_type, instance, custom_data, interval_ms }))
    }
}

/// A new secret, and the CMK that the caller chose; none takes the account's default key.
pub struct Asked {
    new: NewSecret,
    key: Option<KeyRef>,
}

impl Input for Asked {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let managed = request.managed()?;
        let new = NewSecret {
            name: request.secret_name,
            version: NewVersion {
                id: request.version_id,
                value: request.secret_data.0,
                data_type: request.secret_data_type.unwrap_or(DataType::Text),
            },
            description: request.description.unwrap_or_default().0,
            tags: request.tags.unwrap_or_default().0,
            policy: request.policy.map(|policy| policy.0),
            managed,
            kms_instance: request.kms_instance,
        };
        Ok(Self { new, key: request.encryption_key_id })
    }
}

impl Operation for CreateSecret {
    const NAME: &'static str = "CreateSecret";
    const EFFECT: Effect = Effect::Commit;
    type Input = Asked;
    type Response = Response;

    fn target(Asked { new, key }: &Asked) -> Target<'_> {
        let target = Target::of(Resource::NewSecret(&new.name)).version(new.version.id.as_str());
        match key {
            Some(key) => target.and_using(Use::GenerateDataKey, UsedKey::Named(key)),
            None => target,
        }
    }

    fn run(cx: &Context<'_>, Asked { new, key }: Asked) -> Result<Response, Error> {
        let key = key.map(|_| cx.key_for(Use::GenerateDataKey)).transpose()?;
        let answer = Response {
            arn: cx.caller.arn(None, &new.name.resource()),
            secret_name: new.name.clone(),
            version_id: new.version.id.clone(),
            secret_type: if new.managed.is_some() { SecretType::Rds } else { SecretType::Generic },
            kms_instance: new.kms_instance.clone(),
            rotation: None,
        };
        let rotation = cx.secrets.create(cx.caller, new, key)?;
        Ok(Response { rotation: rotation.map(|r| RotationFields::of(r, true)), ..answer })
    }
}
