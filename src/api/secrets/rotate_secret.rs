//! RotateSecret: gives a managed secret a new password now, on its server and as a new version.
//!
//! The answer says that it is done. When the server does not answer, the call is answered ServiceUnavailableTemporary, and the
//! rotation goes on by itself; the same VersionId again never makes a second one.

use serde::{Deserialize, Serialize};

use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::{SecretName, SecretRef, VersionId};
use crate::error::Error;

pub struct RotateSecret;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    version_id: VersionId,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    arn: String,
    secret_name: SecretName,
    version_id: VersionId,
}

impl Operation for RotateSecret {
    const NAME: &'static str = "RotateSecret";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Secret(&request.secret_name)).version(request.version_id.as_str())
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        cx.secrets.rotate(cx.caller, &request.secret_name, &request.version_id)?;
        Ok(Response {
            arn: cx.caller.arn(None, &request.secret_name.name.resource()),
            secret_name: request.secret_name.name,
            version_id: request.version_id,
        })
    }
}
