//! Operations on tags, one file each, and what they share: the resources that a request names.

pub mod fields;
pub mod list_resource_tags;
pub mod list_tag_resources;
pub mod tag_resource;
pub mod tag_resources;
pub mod untag_resource;
pub mod untag_resources;

pub use crate::tags::MAX_TAGS;

use crate::api::fields::Text;
use crate::api::{Context, Done, Resource, Target};
use crate::base::field::{Field, Why};
use crate::base::ids::{KeyRef, SecretRef};
use crate::base::words::ResourceType;
use crate::error::Error;
use crate::tags::Change;
use fields::ResourceId;

/// What is wrong with two of them.
const ONE: Why =
    Why::naming("It must be the only one of {}, {} and {}.", &[Field::KeyId, Field::SecretName, Field::CertificateId]);

/// The resources of a request; all of one kind, at least one.
enum On {
    Keys(Vec<KeyRef>),
    Secrets(Vec<SecretRef>),
}

impl On {
    /// The one that is named by a parameter of its own. Certificates are not served.
    fn one(key: Option<KeyRef>, secret: Option<SecretRef>, certificate: Option<Text>) -> Result<Self, Error> {
        match (key, secret, certificate) {
            (Some(key), None, None) => Ok(On::Keys(vec![key])),
            (None, Some(secret), None) => Ok(On::Secrets(vec![secret])),
            (None, None, Some(_)) => Err(Error::UnsupportedOperation("there are no certificates")),
            (None, None, None) => Err(Error::Missing(Field::KeyId)),
            (Some(_), _, _) => Err(Error::invalid_since(Field::KeyId, ONE)),
            (None, _, _) => Err(Error::invalid_since(Field::SecretName, ONE)),
        }
    }

    /// Those of a list, all of this kind.
    fn many(kind: ResourceType, ids: Vec<ResourceId>) -> Result<Self, Error> {
        let all = match kind {
            ResourceType::Key => ids.into_iter().map(|id| id.as_key).collect::<Option<_>>().map(On::Keys),
            ResourceType::Secret => ids.into_iter().map(|id| id.as_secret).collect::<Option<_>>().map(On::Secrets),
        };
        let why = Why::naming("It must be a name or an ARN of what {} says.", &[Field::ResourceType]);
        all.ok_or(Error::invalid_since(Field::ResourceId, why))
    }

    /// For authorisation: the permission is needed on each.
    fn target(&self) -> Target<'_> {
        match self {
            On::Keys(keys) => Target::all(keys.iter().map(Resource::Key)),
            On::Secrets(secrets) => Target::all(secrets.iter().map(Resource::Secret)),
        }
    }
}

/// Which tags of which resources are changed.
pub struct Changed {
    on: On,
    change: Change,
}

impl Changed {
    fn target(&self) -> Target<'_> {
        self.on.target()
    }

    fn done(self, cx: &Context<'_>) -> Result<Done, Error> {
        match &self.on {
            On::Keys(keys) => cx.keys.tag(cx.caller, keys, &self.change)?,
            On::Secrets(secrets) => cx.secrets.tag(cx.caller, secrets, &self.change)?,
        }
        Ok(Done {})
    }
}
