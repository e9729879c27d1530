//! GetKeyPolicy: the policy of a key; the default one where none was set.

use serde::Deserialize;

use crate::api::policies::{PolicyName, Shown, only_default};
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::KeyRef;
use crate::error::Error;

pub struct GetKeyPolicy;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    policy_name: Option<PolicyName>,
}

impl Operation for GetKeyPolicy {
    const NAME: &'static str = "GetKeyPolicy";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Shown;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Shown, Error> {
        only_default(request.policy_name.as_ref())?;
        Ok(Shown { policy: cx.keys.policy(cx.caller, &request.key_id)? })
    }
}
