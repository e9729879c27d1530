//! SetDeletionProtection: whether a key's deletion is refused.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::api::fields::Description;
use crate::api::keys::Done;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::KeyRef;
use crate::error::Error;

/// SetDeletionProtection.
pub struct SetDeletionProtection;

/// Parameters as they are sent: the key is ProtectedResourceArn from clients up to 2025, KeyId from newer ones.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameters {
    protected_resource_arn: Option<KeyRef>,
    key_id: Option<KeyRef>,
    enable_deletion_protection: bool,
    deletion_protection_description: Option<Description>,
}

/// Parameters.
pub struct Request {
    key: KeyRef,
    /// Named in both ways.
    named_twice: bool,
    on: bool,
    reason: String,
}

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let sent = Parameters::deserialize(d)?;
        let named_twice = sent.protected_resource_arn.is_some() && sent.key_id.is_some();
        let key = sent.protected_resource_arn.or(sent.key_id);
        Ok(Self {
            key: key.ok_or_else(|| D::Error::missing_field("ProtectedResourceArn"))?,
            named_twice,
            on: sent.enable_deletion_protection,
            reason: sent.deletion_protection_description.unwrap_or_default().0,
        })
    }
}

impl Operation for SetDeletionProtection {
    const NAME: &'static str = "SetDeletionProtection";
    const EFFECT: Effect = Effect::Write;
    type Request = Request;
    type Response = Done;

    fn check(request: &Request) -> Result<(), Error> {
        if request.named_twice {
            return Err(Error::invalid("KeyId"));
        }
        if !request.on && !request.reason.is_empty() {
            return Err(Error::invalid("DeletionProtectionDescription"));
        }
        Ok(())
    }

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        cx.keys.set_deletion_protection(cx.caller, &request.key, request.on, &request.reason)?;
        Ok(Done {})
    }
}
