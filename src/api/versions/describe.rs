//! A secret with all its versions, without a value.

use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::SecretRef;
use crate::error::Error;
use crate::secrets::NumberedVersions;

/// DescribeSecret, with the versions.
pub struct DescribeVersions;

impl Operation for DescribeVersions {
    const NAME: &'static str = "DescribeSecret";
    const EFFECT: Effect = Effect::Read;
    type Input = SecretRef;
    type Response = NumberedVersions;

    fn target(secret: &SecretRef) -> Target<'_> {
        Target::of(Resource::Secret(secret))
    }

    fn run(cx: &Context<'_>, secret: SecretRef) -> Result<NumberedVersions, Error> {
        cx.secrets.versions_numbered(cx.caller, &secret)
    }
}
