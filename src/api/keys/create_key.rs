//! CreateKey: makes a master key on the token.

use serde::{Deserialize, Serialize};

use crate::api::fields::Description;
use crate::api::fields::Text;
use crate::api::keys::{KeyMetadata, interval};
use crate::api::policies::PolicyText;
use crate::api::tags::fields::NewTags;
use crate::api::{Context, Effect, Input, Operation, Resource, Target};
use crate::base::field::{Field, Why};
use crate::base::ids::KmsInstanceId;
use crate::base::words::{KeySpec, KeyUsage, Origin, ProtectionLevel};
use crate::error::Error;
use crate::keys::NewKey;

pub struct CreateKey;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_spec: Option<KeySpec>,
    key_usage: Option<KeyUsage>,
    origin: Option<Origin>,
    protection_level: Option<ProtectionLevel>,
    description: Option<Description>,
    enable_automatic_rotation: Option<bool>,
    rotation_interval: Option<Text>,
    tags: Option<NewTags>,
    policy: Option<PolicyText>,
    #[serde(rename = "DKMSInstanceId")]
    kms_instance: Option<KmsInstanceId>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    key_metadata: KeyMetadata,
}

impl Input for NewKey {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let spec = request.key_spec.unwrap_or(KeySpec::Aes256);
        let usages = spec.usages();
        let usage = match request.key_usage {
            // What the key can do first: signing where it can sign.
            None => usages[0],
            Some(usage) if usages.contains(&usage) => usage,
            Some(_) => {
                let why = Why::naming("It must be one that keys of this {} have.", &[Field::KeySpec]);
                return Err(Error::invalid_since(Field::KeyUsage, why));
            }
        };
        let origin = request.origin.unwrap_or(Origin::Service);
        // Only AES keys are imported (GetParametersForImport).
        if origin == Origin::External && !matches!(spec, KeySpec::Aes128 | KeySpec::Aes192 | KeySpec::Aes256) {
            return Err(Error::UnsupportedOperation("only AES keys are imported"));
        }
        let rotation_s = interval(request.enable_automatic_rotation == Some(true), request.rotation_interval.as_ref())?;
        if rotation_s.is_some() && !(origin == Origin::Service && spec.is_symmetric()) {
            return Err(Error::invalid_since(
                Field::EnableAutomaticRotation,
                "Symmetric keys rotate by themselves, if their material was made here.",
            ));
        }
        Ok(Self {
            spec,
            usage,
            origin,
            protection: request.protection_level.unwrap_or(ProtectionLevel::Software),
            description: request.description.unwrap_or_default().0,
            rotation_s,
            tags: request.tags.unwrap_or_default().0,
            policy: request.policy.map(|policy| policy.0),
            kms_instance: request.kms_instance,
        })
    }
}

impl Operation for CreateKey {
    const NAME: &'static str = "CreateKey";
    const EFFECT: Effect = Effect::Write;
    type Input = NewKey;
    type Response = Response;

    fn target(_: &NewKey) -> Target<'_> {
        Target::of(Resource::Keys)
    }

    fn run(cx: &Context<'_>, new: NewKey) -> Result<Response, Error> {
        let described = cx.keys.create(cx.caller, &new)?;
        cx.makes(&described.key.id.resource());
        Ok(Response { key_metadata: KeyMetadata::new(cx.caller, described) })
    }
}
