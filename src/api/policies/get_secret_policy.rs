//! GetSecretPolicy: the policy of a secret; the default one where none was set.

use serde::Deserialize;

use crate::api::policies::{PolicyName, Shown, only_default};
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::SecretRef;
use crate::error::Error;

pub struct GetSecretPolicy;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    policy_name: Option<PolicyName>,
}

impl Operation for GetSecretPolicy {
    const NAME: &'static str = "GetSecretPolicy";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Shown;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Secret(&request.secret_name))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Shown, Error> {
        only_default(request.policy_name.as_ref())?;
        Ok(Shown { policy: cx.secrets.policy(cx.caller, &request.secret_name)? })
    }
}
