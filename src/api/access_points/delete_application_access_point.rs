//! DeleteApplicationAccessPoint: an access point goes, and its client keys with it.

use serde::Deserialize;

use crate::api::access_points::{ACCESS_POINT, one};
use crate::api::{Context, Done, Effect, Operation, Target};
use crate::base::ids::AccessPointName;
use crate::error::Error;

pub struct DeleteApplicationAccessPoint;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    name: AccessPointName,
}

impl Operation for DeleteApplicationAccessPoint {
    const NAME: &'static str = "DeleteApplicationAccessPoint";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(one(ACCESS_POINT, request.name.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        cx.auth.access_points().point_delete(cx.caller, &request.name)?;
        Ok(Done {})
    }
}
