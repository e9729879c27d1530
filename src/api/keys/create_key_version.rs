//! CreateKeyVersion: makes a new version of a key, which becomes its primary one.

use serde::{Deserialize, Serialize};

use crate::api::keys::KeyVersion;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::KeyRef;
use crate::error::Error;

pub struct CreateKeyVersion;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    key_version: KeyVersion,
}

impl Operation for CreateKeyVersion {
    const NAME: &'static str = "CreateKeyVersion";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let version = cx.keys.version_create(cx.caller, &request.key_id)?;
        cx.serves(version.id);
        Ok(Response { key_version: version.into() })
    }
}
