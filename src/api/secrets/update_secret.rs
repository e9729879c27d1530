//! UpdateSecret: changes a secret's description; its versions and values stay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::fields::Description;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::{SecretName, SecretRef};
use crate::error::Error;
use crate::secrets::Changes;

pub struct UpdateSecret;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    description: Option<Description>,
    extended_config: Option<ExtendedConfig>,
}

/// `ExtendedConfig.CustomData={"a":"b"}` or `ExtendedConfig.CustomData.a=b`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExtendedConfig {
    custom_data: Option<BTreeMap<String, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_name: SecretName,
}

impl Operation for UpdateSecret {
    const NAME: &'static str = "UpdateSecret";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Secret(&request.secret_name))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let changes = Changes {
            description: request.description.map(|d| d.0),
            custom_data: request.extended_config.and_then(|config| config.custom_data),
        };
        cx.secrets.update(cx.caller, &request.secret_name, &changes)?;
        Ok(Response { secret_name: request.secret_name.name })
    }
}
