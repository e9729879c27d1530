//! CreateApplicationAccessPoint: makes a principal for an application.

use serde::{Deserialize, Serialize};

use crate::api::access_points::{ACCESS_POINT, List, METHOD, one, text};
use crate::api::fields::Description;
use crate::api::fields::Text;
use crate::api::{Context, Effect, Input, Operation, Target};
use crate::auth::access_point::NewPoint;
use crate::base::field::Field;
use crate::base::ids::{AccessPointName, AccessPolicyName};
use crate::error::Error;

pub struct CreateApplicationAccessPoint;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    name: AccessPointName,
    policies: List<AccessPolicyName, 0, 10>,
    description: Option<Description>,
    authentication_method: Option<Text>,
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

impl Input for NewPoint {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let description = request.description.unwrap_or_default().0;
        match request.authentication_method.as_ref().map(|text| text.0.as_str()) {
            None | Some(METHOD) => Ok(Self { name: request.name, description, policies: request.policies.0 }),
            Some(_) => Err(Error::invalid_since(Field::AuthenticationMethod, "It must be ClientKey.")),
        }
    }
}

impl Operation for CreateApplicationAccessPoint {
    const NAME: &'static str = "CreateApplicationAccessPoint";
    const EFFECT: Effect = Effect::Write;
    type Input = NewPoint;
    type Response = Response;

    fn target(new: &NewPoint) -> Target<'_> {
        Target::of(one(ACCESS_POINT, new.name.as_str()))
    }

    fn run(cx: &Context<'_>, new: NewPoint) -> Result<Response, Error> {
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
