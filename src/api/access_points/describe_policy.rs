//! DescribePolicy: a policy as it is.

use serde::{Deserialize, Serialize};

use crate::api::access_points::{POLICY, one, rules_text};
use crate::api::{Context, Effect, Operation, Target};
use crate::auth::access_point::AccessResource;
use crate::base::ids::AccessPolicyName;
use crate::base::words::AccessPermission;
use crate::error::Error;

pub struct DescribePolicy;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    name: AccessPolicyName,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    access_control_rules: String,
    arn: String,
    description: String,
    kms_instance: String,
    name: AccessPolicyName,
    permissions: Vec<AccessPermission>,
    resources: Vec<AccessResource>,
}

impl Operation for DescribePolicy {
    const NAME: &'static str = "DescribePolicy";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(one(POLICY, request.name.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let found = cx.auth.access_points().policy(cx.caller, &request.name)?;
        Ok(Response {
            access_control_rules: rules_text(found.network_rules)?,
            arn: cx.caller.arn(None, &format!("{POLICY}/{}", found.name)),
            description: found.description,
            kms_instance: found.kms_instance,
            name: found.name,
            permissions: found.permissions,
            resources: found.resources,
        })
    }
}
