//! ListResourceTags: the tags of a key.

use serde::{Deserialize, Serialize};

use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::{KeyId, KeyRef};
use crate::error::Error;

pub struct ListResourceTags;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    tags: List,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    tag: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    key_id: KeyId,
    tag_key: String,
    tag_value: String,
}

impl Operation for ListResourceTags {
    const NAME: &'static str = "ListResourceTags";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let (key, tags) = cx.keys.tags(cx.caller, &request.key_id)?;
        let item = |tag: crate::store::TagRow| Item { key_id: key.id, tag_key: tag.tag_key, tag_value: tag.tag_value };
        Ok(Response { tags: List { tag: tags.into_iter().map(item).collect() } })
    }
}
