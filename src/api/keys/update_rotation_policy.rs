//! UpdateRotationPolicy: turns a key's automatic rotation on or off.

use serde::Deserialize;

use crate::api::keys::{Done, RotationInterval, interval};
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::KeyRef;
use crate::error::Error;

/// UpdateRotationPolicy.
pub struct UpdateRotationPolicy;

/// Parameters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    enable_automatic_rotation: bool,
    rotation_interval: Option<RotationInterval>,
}

impl Operation for UpdateRotationPolicy {
    const NAME: &'static str = "UpdateRotationPolicy";
    const EFFECT: Effect = Effect::Write;
    type Request = Request;
    type Response = Done;

    fn check(request: &Request) -> Result<(), Error> {
        interval(request.enable_automatic_rotation, request.rotation_interval).map(drop)
    }

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        let interval = interval(request.enable_automatic_rotation, request.rotation_interval)?;
        cx.keys.set_rotation(cx.caller, &request.key_id, interval)?;
        Ok(Done {})
    }
}
