//! A secret that is deleted at once, with all its versions.

use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::SecretRef;
use crate::error::Error;

/// DeleteSecret without a window.
pub struct RemoveSecret;

impl Operation for RemoveSecret {
    const NAME: &'static str = "DeleteSecret";
    const EFFECT: Effect = Effect::Write;
    type Input = SecretRef;
    type Response = ();

    fn target(secret: &SecretRef) -> Target<'_> {
        Target::of(Resource::Secret(secret))
    }

    fn run(cx: &Context<'_>, secret: SecretRef) -> Result<(), Error> {
        cx.secrets.remove(cx.caller, &secret)
    }
}
