//! CreateApplicationAccessPoint: makes a principal for an application.

use serde::{Deserialize, Serialize};

use crate::api::access_points::{ACCESS_POINT, List, METHOD, one, text};
use crate::api::fields::Description;
use crate::api::{Context, Effect, Operation, Target};
use crate::auth::access_point::NewPoint;
use crate::base::ids::{AccessPointName, AccessPolicyName};
use crate::error::Error;

/// CreateApplicationAccessPoint.
pub struct CreateApplicationAccessPoint;

/// Parameters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    name: AccessPointName,
    policies: List<AccessPolicyName, 0, 10>,
    description: Option<Description>,
    authentication_method: Option<String>,
}

/// Answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    arn: String,
    authentication_method: &'static str,
    description: String,
    name: AccessPointName,
    policies: String,
}

impl Operation for CreateApplicationAccessPoint {
    const NAME: &'static str = "CreateApplicationAccessPoint";
    const EFFECT: Effect = Effect::Write;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        match request.authentication_method.as_deref() {
            None | Some("" | METHOD) => Ok(()),
            Some(_) => Err(Error::invalid("AuthenticationMethod")),
        }
    }

    fn target(request: &Request) -> Target<'_> {
        Target::of(one(ACCESS_POINT, request.name.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let description = request.description.unwrap_or_default().0;
        let new = NewPoint { name: request.name, description, policies: request.policies.0 };
        cx.auth.access_points().point_create(cx.caller, &new)?;
        Ok(Response {
            arn: cx.caller.arn(None, &format!("{ACCESS_POINT}/{}", new.name)),
            authentication_method: METHOD,
            policies: text(&new.policies)?,
            description: new.description,
            name: new.name,
        })
    }
}
