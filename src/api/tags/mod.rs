//! Operations on tags, one file each, and what they share: the resources that a request names.

pub mod fields;
pub mod list_resource_tags;
pub mod list_tag_resources;
pub mod tag_resource;
pub mod tag_resources;
pub mod untag_resource;
pub mod untag_resources;

use crate::api::{Context, Resource, Target};
use crate::base::ids::{KeyRef, Region, SecretRef};
use crate::base::words::ResourceType;
use crate::error::Error;
use crate::tags::Change;
use fields::ResourceId;

/// The resources of a request; all of one kind, at least one.
enum On<'a> {
    Keys(Vec<&'a KeyRef>),
    Secrets(Vec<&'a SecretRef>),
}

impl<'a> On<'a> {
    /// The one that is named by a parameter of its own. Certificates are not served.
    fn one(key: Option<&'a KeyRef>, secret: Option<&'a SecretRef>, certificate: Option<&str>) -> Result<Self, Error> {
        match (key, secret, certificate) {
            (Some(key), None, None) => Ok(On::Keys(vec![key])),
            (None, Some(secret), None) => Ok(On::Secrets(vec![secret])),
            (None, None, Some(_)) => Err(Error::UnsupportedOperation),
            (None, None, None) => Err(Error::MissingParameter("KeyId".into())),
            (Some(_), _, _) => Err(Error::invalid("KeyId")),
            (None, _, _) => Err(Error::invalid("SecretName")),
        }
    }

    /// Those of a list, all of this kind.
    fn many(kind: ResourceType, ids: &'a [ResourceId]) -> Result<Self, Error> {
        let all = match kind {
            ResourceType::Key => ids.iter().map(|id| id.as_key.as_ref()).collect::<Option<_>>().map(On::Keys),
            ResourceType::Secret => ids.iter().map(|id| id.as_secret.as_ref()).collect::<Option<_>>().map(On::Secrets),
        };
        all.ok_or(Error::invalid("ResourceId"))
    }

    /// For authorisation: the permission is needed on each.
    fn target(&self) -> Target<'a> {
        match self {
            On::Keys(keys) => Target::all(keys.iter().map(|key| Resource::Key(key))),
            On::Secrets(secrets) => Target::all(secrets.iter().map(|secret| Resource::Secret(secret))),
        }
    }

    fn change(&self, cx: &Context<'_>, change: &Change) -> Result<(), Error> {
        match self {
            On::Keys(keys) => cx.keys.tag(cx.caller, keys, change),
            On::Secrets(secrets) => cx.secrets.tag(cx.caller, secrets, change),
        }
    }
}

/// Refuses a RegionId that is not this deployment's: what it names is not here.
fn only_here(cx: &Context<'_>, region: &Region) -> Result<(), Error> {
    if *region == cx.caller.region { Ok(()) } else { Err(Error::invalid("RegionId")) }
}
