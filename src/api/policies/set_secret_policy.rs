//! SetSecretPolicy: gives a secret a policy of its own, in place of the one it had.

use serde::Deserialize;

use crate::api::policies::{PolicyName, PolicyText, only_default};
use crate::api::{Context, Done, Effect, Operation, Resource, Target};
use crate::base::ids::SecretRef;
use crate::error::Error;

pub struct SetSecretPolicy;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    policy: PolicyText,
    policy_name: Option<PolicyName>,
}

impl Operation for SetSecretPolicy {
    const NAME: &'static str = "SetSecretPolicy";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Secret(&request.secret_name))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        only_default(request.policy_name.as_ref())?;
        cx.secrets.policy_set(cx.caller, &request.secret_name, &request.policy.0)?;
        Ok(Done {})
    }
}
