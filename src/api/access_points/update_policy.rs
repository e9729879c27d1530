//! UpdatePolicy: changes what client keys may do by a policy.

use serde::Deserialize;

use crate::api::access_points::{List, POLICY, Rules, one};
use crate::api::fields::Description;
use crate::api::{Context, Done, Effect, Operation, Target};
use crate::auth::access_point::{AccessResource, PolicyChange};
use crate::base::ids::AccessPolicyName;
use crate::base::words::AccessPermission;
use crate::error::Error;

pub struct UpdatePolicy;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    name: AccessPolicyName,
    permissions: Option<List<AccessPermission, 0, 2>>,
    resources: Option<List<AccessResource, 0, 100>>,
    access_control_rules: Option<Rules>,
    description: Option<Description>,
}

impl Operation for UpdatePolicy {
    const NAME: &'static str = "UpdatePolicy";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(one(POLICY, request.name.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        let change = PolicyChange {
            description: request.description.map(|d| d.0),
            permissions: request.permissions.map(|p| p.0),
            resources: request.resources.map(|r| r.0),
            network_rules: request.access_control_rules.map(|r| r.0),
        };
        cx.auth.access_points().policy_update(cx.caller, &request.name, &change)?;
        Ok(Done {})
    }
}
