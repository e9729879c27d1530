//! DescribeKey: a key's metadata.

use serde::{Deserialize, Serialize};

use crate::api::keys::KeyMetadata;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::KeyRef;
use crate::error::Error;

pub struct DescribeKey;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    key_metadata: KeyMetadata,
}

impl Operation for DescribeKey {
    const NAME: &'static str = "DescribeKey";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let described = cx.keys.describe(cx.caller, &cx.pinned(&request.key_id)?)?;
        Ok(Response { key_metadata: KeyMetadata::with_protection(cx.caller, described) })
    }
}
