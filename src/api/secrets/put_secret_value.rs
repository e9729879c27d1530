//! PutSecretValue: adds a version to a secret and marks it, with ACSCurrent where nothing is said.
//!
//! The same version with the same value again is success without effect; with another value it is refused.

use serde::{Deserialize, Serialize};

use crate::api::secrets::fields::{SecretData, VersionStages};
use crate::api::{Context, Effect, Operation, Resource, Target, secrets};
use crate::base::ids::{SecretName, SecretRef, VersionId};
use crate::base::words::DataType;
use crate::error::Error;
use crate::secrets::NewVersion;

pub struct PutSecretValue;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    version_id: VersionId,
    secret_data: SecretData,
    secret_data_type: Option<DataType>,
    version_stages: Option<VersionStages>,
}

/// Answer, with the labels that the version has now.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_name: SecretName,
    version_id: VersionId,
    version_stages: secrets::VersionStages,
}

impl Operation for PutSecretValue {
    const NAME: &'static str = "PutSecretValue";
    const EFFECT: Effect = Effect::Commit;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Secret(&request.secret_name)).version(request.version_id.as_str())
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let new = NewVersion {
            id: request.version_id,
            value: request.secret_data.0,
            data_type: request.secret_data_type.unwrap_or(DataType::Text),
        };
        let stages = request.version_stages.unwrap_or_default().0;
        let stages = cx.secrets.put(cx.caller, &request.secret_name, &new, &stages)?;
        Ok(Response { secret_name: request.secret_name.name, version_id: new.id, version_stages: stages.into() })
    }
}
