//! DescribeSecret: a secret's metadata, without its value.

use serde::{Deserialize, Serialize};

use crate::api::secrets::{RotationFields, Tags};
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::clock::Timestamp;
use crate::base::ids::{KeyId, KmsInstanceId, SecretName, SecretRef};
use crate::base::words::SecretType;
use crate::error::Error;

pub struct DescribeSecret;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    fetch_tags: Option<bool>,
}

/// Answer. Description only when there is one; EncryptionKeyId only when the caller chose the key; PlannedDeleteTime only in the deletion
/// window.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    arn: String,
    secret_name: SecretName,
    secret_type: SecretType,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_key_id: Option<KeyId>,
    create_time: Timestamp,
    update_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    planned_delete_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Tags>,
    #[serde(rename = "DKMSInstanceId", skip_serializing_if = "Option::is_none")]
    kms_instance: Option<KmsInstanceId>,
    #[serde(flatten)]
    rotation: Option<RotationFields>,
}

impl Operation for DescribeSecret {
    const NAME: &'static str = "DescribeSecret";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Secret(&request.secret_name))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let found = cx.secrets.describe(cx.caller, &request.secret_name, request.fetch_tags == Some(true))?;
        let secret = found.secret;
        Ok(Response {
            arn: cx.caller.arn(None, &secret.name.resource()),
            secret_name: secret.name,
            secret_type: secret.secret_type,
            description: secret.description,
            encryption_key_id: secret.user_key.then_some(secret.key_id),
            create_time: secret.created_at,
            update_time: secret.updated_at,
            planned_delete_time: found.planned_delete_time,
            tags: found.tags.map(Tags::from),
            kms_instance: secret.kms_instance,
            rotation: found.rotation.map(|r| RotationFields::of(r, true)),
        })
    }
}
