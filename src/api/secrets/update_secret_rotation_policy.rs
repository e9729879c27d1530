//! UpdateSecretRotationPolicy: whether a managed secret is rotated by itself, and how often.

use serde::{Deserialize, Serialize};

use crate::api::fields::Text;
use crate::api::secrets::rotation_interval;
use crate::api::{Context, Effect, Input, Operation, Resource, Target};
use crate::base::ids::{SecretName, SecretRef};
use crate::error::Error;

pub struct UpdateSecretRotationPolicy;

/// Parameters. The interval counts only where rotation is switched on, and is needed there.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    enable_automatic_rotation: bool,
    rotation_interval: Option<Text>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_name: SecretName,
}

/// What is set.
pub struct Asked {
    secret: SecretRef,
    /// Milliseconds; none where rotation does not come by itself.
    interval_ms: Option<i64>,
}

impl Input for Asked {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let interval_ms = rotation_interval(request.enable_automatic_rotation, request.rotation_interval.as_ref())?;
        Ok(Self { secret: request.secret_name, interval_ms })
    }
}

impl Operation for UpdateSecretRotationPolicy {
    const NAME: &'static str = "UpdateSecretRotationPolicy";
    const EFFECT: Effect = Effect::Write;
    type Input = Asked;
    type Response = Response;

    fn target(asked: &Asked) -> Target<'_> {
        Target::of(Resource::Secret(&asked.secret))
    }

    fn run(cx: &Context<'_>, asked: Asked) -> Result<Response, Error> {
        cx.secrets.rotation_policy_set(cx.caller, &asked.secret, asked.interval_ms)?;
        Ok(Response { secret_name: asked.secret.name })
    }
}
