//! UpdateRotationPolicy: turns a key's automatic rotation on or off.

use serde::Deserialize;

use crate::api::fields::Text;
use crate::api::keys::interval;
use crate::api::{Context, Done, Effect, Input, Operation, Resource, Target};
use crate::base::ids::KeyRef;
use crate::error::Error;

pub struct UpdateRotationPolicy;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    enable_automatic_rotation: bool,
    rotation_interval: Option<Text>,
}

/// What is set.
pub struct Asked {
    key: KeyRef,
    /// Seconds; none where rotation does not come by itself.
    interval_s: Option<i64>,
}

impl Input for Asked {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let interval_s = interval(request.enable_automatic_rotation, request.rotation_interval.as_ref())?;
        Ok(Self { key: request.key_id, interval_s })
    }
}

impl Operation for UpdateRotationPolicy {
    const NAME: &'static str = "UpdateRotationPolicy";
    const EFFECT: Effect = Effect::Write;
    type Input = Asked;
    type Response = Done;

    fn target(asked: &Asked) -> Target<'_> {
        Target::of(Resource::Key(&asked.key))
    }

    fn run(cx: &Context<'_>, asked: Asked) -> Result<Done, Error> {
        cx.keys.set_rotation(cx.caller, &asked.key, asked.interval_s)?;
        Ok(Done {})
    }
}
