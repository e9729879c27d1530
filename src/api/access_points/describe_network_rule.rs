//! DescribeNetworkRule: a network rule as it is.

use serde::{Deserialize, Serialize};

use crate::api::access_points::create_network_rule::PRIVATE;
use crate::api::access_points::{NETWORK_RULE, one, text};
use crate::api::{Context, Effect, Operation, Target};
use crate::base::ids::NetworkRuleName;
use crate::error::Error;

pub struct DescribeNetworkRule;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    name: NetworkRuleName,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    arn: String,
    description: String,
    source_private_ip: String,
    #[serde(rename = "Type")]
    kind: &'static str,
}

impl Operation for DescribeNetworkRule {
    const NAME: &'static str = "DescribeNetworkRule";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(one(NETWORK_RULE, request.name.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let found = cx.auth.access_points().rule(cx.caller, &request.name)?;
        Ok(Response {
            arn: cx.caller.arn(None, &format!("{NETWORK_RULE}/{}", found.name)),
            description: found.description,
            source_private_ip: text(&found.source_ips)?,
            kind: PRIVATE,
        })
    }
}
