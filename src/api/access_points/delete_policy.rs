//! DeletePolicy: a policy goes, unless an access point has it.

use serde::Deserialize;

use crate::api::access_points::{POLICY, one};
use crate::api::{Context, Done, Effect, Operation, Target};
use crate::base::ids::AccessPolicyName;
use crate::error::Error;

pub struct DeletePolicy;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    name: AccessPolicyName,
}

impl Operation for DeletePolicy {
    const NAME: &'static str = "DeletePolicy";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(one(POLICY, request.name.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        cx.auth.access_points().policy_delete(cx.caller, &request.name)?;
        Ok(Done {})
    }
}
