//! CreateSecret: makes a secret with its first version, which is marked ACSCurrent.
//!
//! The value is encrypted under the CMK that EncryptionKeyId names, which needs `kms:GenerateDataKey` on it, or under the account's
//! default CMK, which the service makes on first use. Only the value is encrypted; name, version, tags and description are not.

use serde::{Deserialize, Serialize};

use crate::api::fields::{Description, NewTags, SecretData};
use crate::api::policies::PolicyText;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::error::Error;
use crate::ids::{KeyRef, SecretName, VersionId};
use crate::kinds::{DataType, SecretType};
use crate::secrets::{NewSecret, NewVersion};

/// CreateSecret.
pub struct CreateSecret;

/// Parameters.
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
    enable_automatic_rotation: Option<bool>,
    policy: Option<PolicyText>,
}

/// Answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    arn: String,
    secret_name: SecretName,
    version_id: VersionId,
    secret_type: SecretType,
}

impl Operation for CreateSecret {
    const NAME: &'static str = "CreateSecret";
    const EFFECT: Effect = Effect::Write;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        if request.enable_automatic_rotation == Some(true) {
            return Err(Error::invalid("EnableAutomaticRotation"));
        }
        Ok(())
    }

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::NewSecret(&request.secret_name)).version(request.version_id.as_str())
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let answer = Response {
            arn: cx.caller.arn(None, &format!("secret/{}", request.secret_name)),
            secret_name: request.secret_name.clone(),
            version_id: request.version_id.clone(),
            secret_type: request.secret_type.unwrap_or(SecretType::Generic),
        };
        let has_policy = request.policy.is_some();
        cx.secrets.create(
            cx.caller,
            NewSecret {
                name: request.secret_name,
                version: NewVersion {
                    id: request.version_id,
                    value: request.secret_data.0,
                    data_type: request.secret_data_type.unwrap_or(DataType::Text),
                },
                description: request.description.unwrap_or_default().0,
                tags: request.tags.unwrap_or_default().0,
                policy: request.policy.map(|policy| policy.0),
                key: request.encryption_key_id,
            },
        )?;
        if has_policy {
            cx.auth.policy_was_set();
        }
        Ok(answer)
    }
}
