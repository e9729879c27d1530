//! DeleteNetworkRule: a network rule goes, unless a policy has it.

use serde::Deserialize;

use crate::api::access_points::{NETWORK_RULE, one};
use crate::api::{Context, Done, Effect, Operation, Target};
use crate::base::ids::NetworkRuleName;
use crate::error::Error;

pub struct DeleteNetworkRule;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    name: NetworkRuleName,
}

impl Operation for DeleteNetworkRule {
    const NAME: &'static str = "DeleteNetworkRule";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(one(NETWORK_RULE, request.name.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        cx.auth.access_points().rule_delete(cx.caller, &request.name)?;
        Ok(Done {})
    }
}
