//! UntagResources: removes tags from several keys, or several secrets; all of their tags where that is said and no key is.

use serde::Deserialize;

use crate::api::keys::Done;
use crate::api::tags::fields::{Few, ResourceId, TagKey};
use crate::api::tags::{On, only_here};
use crate::api::{Context, Effect, Operation, Target};
use crate::base::ids::Region;
use crate::base::words::ResourceType;
use crate::error::Error;
use crate::tags::Change;

/// UntagResources.
pub struct UntagResources;

/// Parameters. All counts only without TagKey.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    region_id: Region,
    resource_type: ResourceType,
    resource_id: Few<ResourceId, 50>,
    tag_key: Option<Few<TagKey, 20>>,
    all: Option<bool>,
}

impl Request {
    fn on(&self) -> Result<On<'_>, Error> {
        On::many(self.resource_type, &self.resource_id.0)
    }

    fn change(&self) -> Result<Change, Error> {
        match (&self.tag_key, self.all) {
            (Some(keys), _) => Ok(Change::Remove(keys.0.iter().map(|key| key.0.clone()).collect())),
            (None, Some(true)) => Ok(Change::RemoveAll),
            (None, _) => Err(Error::MissingParameter("TagKey".into())),
        }
    }
}

impl Operation for UntagResources {
    const NAME: &'static str = "UntagResources";
    const EFFECT: Effect = Effect::Write;
    type Request = Request;
    type Response = Done;

    fn check(request: &Request) -> Result<(), Error> {
        request.change()?;
        request.on().map(drop)
    }

    fn target(request: &Request) -> Target<'_> {
        request.on().expect("check has refused names of another kind").target()
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        only_here(cx, &request.region_id)?;
        request.on()?.change(cx, &request.change()?)?;
        Ok(Done {})
    }
}
