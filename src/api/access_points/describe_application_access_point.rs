//! DescribeApplicationAccessPoint: an access point and the names of its policies.

use serde::{Deserialize, Serialize};

use crate::api::access_points::{ACCESS_POINT, METHOD, one, text};
use crate::api::{Context, Effect, Operation, Target};
use crate::base::ids::AccessPointName;
use crate::error::Error;

pub struct DescribeApplicationAccessPoint;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    name: AccessPointName,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    arn: String,
    authentication_method: &'static str,
    description: String,
    name: AccessPointName,
    policies: String,
}

impl Operation for DescribeApplicationAccessPoint {
    const NAME: &'static str = "DescribeApplicationAccessPoint";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(one(ACCESS_POINT, request.name.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let found = cx.auth.access_points().point(cx.caller, &request.name)?;
        Ok(Response {
            arn: cx.caller.arn(None, &format!("{ACCESS_POINT}/{}", found.name)),
            authentication_method: METHOD,
            policies: text(&found.policies)?,
            description: found.description,
            name: found.name,
        })
    }
}
