//! UntagResource: removes tags from a key or a secret; tags that are not there do not matter.

use serde::Deserialize;

use crate::api::keys::Done;
use crate::api::tags::On;
use crate::api::tags::fields::TagKeysText;
use crate::api::{Context, Effect, Operation, Target};
use crate::base::ids::{KeyRef, SecretRef};
use crate::error::Error;
use crate::tags::Change;

/// UntagResource.
pub struct UntagResource;

/// Parameters. Exactly one of the first three.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: Option<KeyRef>,
    secret_name: Option<SecretRef>,
    certificate_id: Option<String>,
    tag_keys: TagKeysText,
}

impl Request {
    fn on(&self) -> Result<On<'_>, Error> {
        On::one(self.key_id.as_ref(), self.secret_name.as_ref(), self.certificate_id.as_deref())
    }
}

impl Operation for UntagResource {
    const NAME: &'static str = "UntagResource";
    const EFFECT: Effect = Effect::Write;
    type Request = Request;
    type Response = Done;

    fn check(request: &Request) -> Result<(), Error> {
        request.on().map(drop)
    }

    fn target(request: &Request) -> Target<'_> {
        request.on().expect("check has refused what names no resource").target()
    }

    fn run(cx: &Context<'_>, mut request: Request) -> Result<Done, Error> {
        let change = Change::Remove(std::mem::take(&mut request.tag_keys.0));
        request.on()?.change(cx, &change)?;
        Ok(Done {})
    }
}
