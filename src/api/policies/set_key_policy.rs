//! SetKeyPolicy: gives a key a policy of its own, in place of the one it had.

use serde::Deserialize;

use crate::api::policies::{PolicyName, PolicyText, only_default};
use crate::api::{Context, Done, Effect, Operation, Resource, Target};
use crate::base::ids::KeyRef;
use crate::error::Error;

pub struct SetKeyPolicy;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    policy: PolicyText,
    policy_name: Option<PolicyName>,
}

impl Operation for SetKeyPolicy {
    const NAME: &'static str = "SetKeyPolicy";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        only_default(request.policy_name.as_ref())?;
        cx.keys.policy_set(cx.caller, &request.key_id, &request.policy.0)?;
        Ok(Done {})
    }
}
