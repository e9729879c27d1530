//! TagResources: sets the same tags on several keys, or several secrets; on all of them or on none.

use serde::Deserialize;

use crate::api::keys::Done;
use crate::api::tags::fields::{Few, ResourceId, TagFlat, all_different};
use crate::api::tags::{On, only_here};
use crate::api::{Context, Effect, Operation, Target};
use crate::base::ids::Region;
use crate::base::words::ResourceType;
use crate::error::Error;
use crate::tags::Change;

/// TagResources.
pub struct TagResources;

/// Parameters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    region_id: Region,
    resource_type: ResourceType,
    resource_id: Few<ResourceId, 50>,
    tag: Few<TagFlat, 20>,
}

impl Request {
    fn on(&self) -> Result<On<'_>, Error> {
        On::many(self.resource_type, &self.resource_id.0)
    }
}

impl Operation for TagResources {
    const NAME: &'static str = "TagResources";
    const EFFECT: Effect = Effect::Write;
    type Request = Request;
    type Response = Done;

    fn check(request: &Request) -> Result<(), Error> {
        if !all_different(request.tag.0.iter().map(|tag| &tag.key)) {
            return Err(Error::invalid("Tag"));
        }
        request.on().map(drop)
    }

    fn target(request: &Request) -> Target<'_> {
        request.on().expect("check has refused names of another kind").target()
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        only_here(cx, &request.region_id)?;
        let value = |tag: &TagFlat| tag.value.clone().unwrap_or_default().0;
        let change = Change::Set(request.tag.0.iter().map(|tag| (tag.key.0.clone(), value(tag))).collect());
        request.on()?.change(cx, &change)?;
        Ok(Done {})
    }
}
