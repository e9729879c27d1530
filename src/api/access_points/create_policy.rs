//! CreatePolicy: what client keys may do, on what, and from where.

use serde::{Deserialize, Serialize};

use crate::api::access_points::{List, POLICY, Rules, one, rules_text, text};
use crate::api::fields::Description;
use crate::api::fields::Text;
use crate::api::{Context, Effect, Input, Operation, Target};
use crate::auth::access_point::{AccessResource, NewPolicy};
use crate::base::field::Field;
use crate::base::ids::AccessPolicyName;
use crate::base::words::AccessPermission;
use crate::error::Error;

pub struct CreatePolicy;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    name: AccessPolicyName,
    permissions: List<AccessPermission, 0, 2>,
    resources: List<AccessResource, 0, 100>,
    access_control_rules: Option<Rules>,
    description: Option<Description>,
    kms_instance: Option<Text>,
}

/// Bytes.
const MAX_KMS_INSTANCE: usize = 128;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    access_control_rules: String,
    arn: String,
    description: String,
    kms_instance: String,
    name: AccessPolicyName,
    permissions: String,
    resources: String,
}

impl Input for NewPolicy {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let kms_instance = request.kms_instance.map(|text| text.0).unwrap_or_default();
        if kms_instance.len() > MAX_KMS_INSTANCE {
            return Err(Error::invalid_since(Field::KmsInstance, "It must be at most 128 bytes."));
        }
        Ok(Self {
            name: request.name,
            description: request.description.unwrap_or_default().0,
            kms_instance,
            permissions: request.permissions.0,
            resources: request.resources.0,
            network_rules: request.access_control_rules.unwrap_or_default().0,
        })
    }
}

impl Operation for CreatePolicy {
    const NAME: &'static str = "CreatePolicy";
    const EFFECT: Effect = Effect::Write;
    type Input = NewPolicy;
    type Response = Response;

    fn target(new: &NewPolicy) -> Target<'_> {
        Target::of(one(POLICY, new.name.as_str()))
    }

    fn run(cx: &Context<'_>, new: NewPolicy) -> Result<Response, Error> {
        cx.auth.access_points().policy_create(cx.caller, &new)?;
        Ok(Response {
            access_control_rules: rules_text(new.network_rules)?,
            arn: cx.caller.arn(None, &format!("{POLICY}/{}", new.name)),
            description: new.description,
            kms_instance: new.kms_instance,
            name: new.name,
            permissions: text(&new.permissions)?,
            resources: text(&new.resources)?,
        })
    }
}
