//! RestoreSecret: takes a secret out of its deletion window, with its versions and stages as they were.

use serde::{Deserialize, Serialize};

use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::{SecretName, SecretRef};
use crate::error::Error;

pub struct RestoreSecret;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_name: SecretName,
}

impl Operation for RestoreSecret {
    const NAME: &'static str = "RestoreSecret";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Secret(&request.secret_name))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        cx.secrets.restore(cx.caller, &request.secret_name)?;
        Ok(Response { secret_name: request.secret_name.name })
    }
}
