//! DescribeKeyVersion: one version of a key.

use serde::{Deserialize, Serialize};

use crate::api::fields::Text;
use crate::api::keys::KeyVersion;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::KeyRef;
use crate::error::Error;

pub struct DescribeKeyVersion;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    key_version_id: Text,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    key_version: KeyVersion,
}

impl Operation for DescribeKeyVersion {
    const NAME: &'static str = "DescribeKeyVersion";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key_id)).version(&request.key_version_id.0)
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let version = cx.keys.version(cx.caller, &request.key_id, &request.key_version_id.0)?;
        Ok(Response { key_version: version.into() })
    }
}
