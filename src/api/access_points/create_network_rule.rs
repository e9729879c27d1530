//! CreateNetworkRule: from where client keys may be used.

use serde::{Deserialize, Serialize};

use crate::api::access_points::{List, NETWORK_RULE, one, text};
use crate::api::fields::Description;
use crate::api::{Context, Effect, Input, Operation, Target};
use crate::auth::access_point::{NewRule, SourceNet};
use crate::base::field::Field;
use crate::base::ids::NetworkRuleName;
use crate::error::Error;

pub struct CreateNetworkRule;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    name: NetworkRuleName,
    #[serde(rename = "Type")]
    kind: String,
    source_private_ip: Option<List<SourceNet, 0, 40>>,
    description: Option<Description>,
}

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

impl Input for NewRule {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        if request.kind != PRIVATE {
            return Err(Error::invalid_since(Field::Type, "It must be Private."));
        }
        Ok(Self {
            name: request.name,
            description: request.description.unwrap_or_default().0,
            source_ips: request.source_private_ip.map(|list| list.0).unwrap_or_default(),
        })
    }
}

impl Operation for CreateNetworkRule {
    const NAME: &'static str = "CreateNetworkRule";
    const EFFECT: Effect = Effect::Write;
    type Input = NewRule;
    type Response = Response;

    fn target(new: &NewRule) -> Target<'_> {
        Target::of(one(NETWORK_RULE, new.name.as_str()))
    }

    fn run(cx: &Context<'_>, new: NewRule) -> Result<Response, Error> {
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
