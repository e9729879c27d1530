//! UpdateNetworkRule: changes from where client keys may be used.

use serde::Deserialize;

use crate::api::access_points::{List, NETWORK_RULE, one};
use crate::api::fields::Description;
use crate::api::{Context, Done, Effect, Operation, Target};
use crate::auth::access_point::{RuleChange, SourceNet};
use crate::base::ids::NetworkRuleName;
use crate::error::Error;

pub struct UpdateNetworkRule;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    name: NetworkRuleName,
    source_private_ip: Option<List<SourceNet, 0, 40>>,
    description: Option<Description>,
}

impl Operation for UpdateNetworkRule {
    const NAME: &'static str = "UpdateNetworkRule";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(one(NETWORK_RULE, request.name.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        let change = RuleChange {
            description: request.description.map(|d| d.0),
            source_ips: request.source_private_ip.map(|list| list.0),
        };
        cx.auth.access_points().rule_update(cx.caller, &request.name, &change)?;
        Ok(Done {})
    }
}
