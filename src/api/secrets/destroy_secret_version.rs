//! DestroySecretVersion: takes the data key and the value of one version away for ever. An addition of this service's, with the
//! permission of DeleteSecret, as `destroy` of Vault's API.

use serde::{Deserialize, Serialize};

use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::{SecretName, SecretRef, VersionId};
use crate::error::Error;

pub struct DestroySecretVersion;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    version_id: VersionId,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_name: SecretName,
    version_id: VersionId,
}

impl Operation for DestroySecretVersion {
    const NAME: &'static str = "DestroySecretVersion";
    const PERMISSION: &'static str = "DeleteSecret";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Secret(&request.secret_name)).version(request.version_id.as_str())
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        cx.secrets.destroy_version(cx.caller, &request.secret_name, &request.version_id)?;
        Ok(Response { secret_name: request.secret_name.name, version_id: request.version_id })
    }
}
