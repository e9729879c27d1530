//! SetDeletionProtection: whether a key's deletion is refused.

use serde::Deserialize;

use crate::api::fields::Description;
use crate::api::{Context, Done, Effect, Input, Operation, Resource, Target};
use crate::base::field::{Field, Why};
use crate::base::ids::KeyRef;
use crate::error::Error;

pub struct SetDeletionProtection;

/// Parameters as they are sent: the key is ProtectedResourceArn from clients up to 2025, KeyId from newer ones.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    protected_resource_arn: Option<KeyRef>,
    key_id: Option<KeyRef>,
    enable_deletion_protection: bool,
    deletion_protection_description: Option<Description>,
}

/// What is set.
pub struct Asked {
    key: KeyRef,
    on: bool,
    reason: String,
}

impl Input for Asked {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let key = match (request.protected_resource_arn, request.key_id) {
            (Some(arn), Some(id)) => {
                // An id alone says nothing of where it is.
                let elsewhere = arn.home.is_some() && id.home.is_some() && arn.home != id.home;
                if arn.name != id.name || elsewhere {
                    let why = Why::naming("It must be the same key as {}.", &[Field::ProtectedResourceArn]);
                    return Err(Error::invalid_since(Field::KeyId, why));
                }
                if arn.home.is_some() { arn } else { id }
            }
            (key, other) => key.or(other).ok_or(Error::Missing(Field::ProtectedResourceArn))?,
        };
        // Without effect where protection is off: declarative clients send their whole configuration.
        let on = request.enable_deletion_protection;
        let reason = request.deletion_protection_description.filter(|_| on).unwrap_or_default().0;
        Ok(Self { key, on, reason })
    }
}

impl Operation for SetDeletionProtection {
    const NAME: &'static str = "SetDeletionProtection";
    const EFFECT: Effect = Effect::Write;
    type Input = Asked;
    type Response = Done;

    fn target(asked: &Asked) -> Target<'_> {
        Target::of(Resource::Key(&asked.key))
    }

    fn run(cx: &Context<'_>, asked: Asked) -> Result<Done, Error> {
        cx.keys.set_deletion_protection(cx.caller, &asked.key, asked.on, &asked.reason)?;
        Ok(Done {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_and_the_arn_of_one_key_are_one_key() {
        let key = |text: &str| KeyRef::try_from(text.to_owned()).expect("a key");
        let read = |arn: &str, id: &str| {
            let request = Request {
                protected_resource_arn: Some(key(arn)),
                key_id: Some(key(id)),
                enable_deletion_protection: true,
                deletion_protection_description: None,
            };
            Asked::read(request).map(|asked| asked.key)
        };
        let (arn, other) = ("acs:kms:r:1:key/a", "acs:kms:r:2:key/a");
        for (one, same) in [(arn, "a"), ("a", arn), (arn, arn)] {
            assert_eq!(read(one, same), Ok(key(arn)), "{one} {same}");
        }
        assert_eq!(read("a", "a"), Ok(key("a")));
        for (one, different) in [(arn, "b"), ("a", "b"), (arn, other)] {
            assert!(read(one, different).is_err(), "{one} {different}");
        }
    }
}
