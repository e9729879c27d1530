//! CreateNetworkRule: from where client keys may be used.

use serde::{Deserialize, Serialize};

use crate::api::access_points::{List, NETWORK_RULE, one, text};
use crate::api::fields::Description;
use crate::api::{Context, Effect, Operation, Target};
use crate::auth::access_point::{NewRule, SourceNet};
use crate::base::ids::NetworkRuleName;
use crate::error::Error;

/// CreateNetworkRule.
pub struct CreateNetworkRule;

/// Parameters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    name: NetworkRuleName,
    #[serde(rename = "Type")]
    kind: String,
    source_private_ip: Option<List<SourceNet, 0, 40>>,
    description: Option<Description>,
}

/// Answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    arn: String,
    description: String,
    name: NetworkRuleName,
    source_private_ip: String,
    #[serde(rename = "Type")]
    kind: &'static str,
}

/// The one type of rule.
pub(super) const PRIVATE: &str = "Private";

impl Operation for CreateNetworkRule {
    const NAME: &'static str = "CreateNetworkRule";
    const EFFECT: Effect = Effect::Write;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        if request.kind == PRIVATE { Ok(()) } else { Err(Error::invalid("Type")) }
    }

    fn target(request: &Request) -> Target<'_> {
        Target::of(one(NETWORK_RULE, request.name.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let new = NewRule {
            name: request.name,
            description: request.description.unwrap_or_default().0,
            source_ips: request.source_private_ip.map(|list| list.0).unwrap_or_default(),
        };
        cx.auth.access_points().rule_create(cx.caller, &new)?;
        Ok(Response {
            arn: cx.caller.arn(None, &format!("{NETWORK_RULE}/{}", new.name)),
            description: new.description,
            name: new.name,
            source_private_ip: text(&new.source_ips)?,
            kind: PRIVATE,
        })
    }
}
