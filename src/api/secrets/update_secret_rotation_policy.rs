//! UpdateSecretRotationPolicy: whether a managed secret is rotated by itself, and how often.

use serde::{Deserialize, Serialize};

use crate::api::secrets::rotation_interval;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::{SecretName, SecretRef};
use crate::error::Error;

/// UpdateSecretRotationPolicy.
pub struct UpdateSecretRotationPolicy;

/// Parameters. The interval counts only where rotation is switched on, and is needed there.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    enable_automatic_rotation: bool,
    rotation_interval: Option<String>,
}

/// Answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_name: SecretName,
}

impl Operation for UpdateSecretRotationPolicy {
    const NAME: &'static str = "UpdateSecretRotationPolicy";
    const EFFECT: Effect = Effect::Write;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        rotation_interval(request.enable_automatic_rotation, request.rotation_interval.as_deref()).map(drop)
    }

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Secret(&request.secret_name))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let interval_ms = rotation_interval(request.enable_automatic_rotation, request.rotation_interval.as_deref())?;
        cx.secrets.rotation_policy_set(cx.caller, &request.secret_name, interval_ms)?;
        Ok(Response { secret_name: request.secret_name.name })
    }
}
