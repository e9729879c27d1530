//! UpdateApplicationAccessPoint: changes what the client keys of an access point may do.

use serde::Deserialize;

use crate::api::access_points::{ACCESS_POINT, List, one};
use crate::api::fields::Description;
use crate::api::{Context, Done, Effect, Operation, Target};
use crate::auth::access_point::PointChange;
use crate::base::ids::{AccessPointName, AccessPolicyName};
use crate::error::Error;

pub struct UpdateApplicationAccessPoint;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    name: AccessPointName,
    policies: Option<List<AccessPolicyName, 0, 10>>,
    description: Option<Description>,
}

impl Operation for UpdateApplicationAccessPoint {
    const NAME: &'static str = "UpdateApplicationAccessPoint";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(one(ACCESS_POINT, request.name.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        let (description, policies) = (request.description.map(|d| d.0), request.policies.map(|p| p.0));
        cx.auth.access_points().point_update(cx.caller, &request.name, &PointChange { description, policies })?;
        Ok(Done {})
    }
}
