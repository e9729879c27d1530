//! CreateKey: makes a master key on the token.

use serde::{Deserialize, Serialize};

use crate::api::fields::{Description, NewTags};
use crate::api::keys::{KeyMetadata, RotationInterval, interval};
use crate::api::policies::PolicyText;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::words::{KeySpec, KeyUsage, Origin, ProtectionLevel};
use crate::error::Error;
use crate::keys::NewKey;

/// CreateKey.
pub struct CreateKey;

/// Parameters. Origin is a text here, so that one that the API knows and this service does not serve is told apart from those that
/// nobody knows.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_spec: Option<KeySpec>,
    key_usage: Option<KeyUsage>,
    origin: Option<String>,
    protection_level: Option<ProtectionLevel>,
    description: Option<Description>,
    enable_automatic_rotation: Option<bool>,
    rotation_interval: Option<RotationInterval>,
    tags: Option<NewTags>,
    policy: Option<PolicyText>,
}

/// Answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    key_metadata: KeyMetadata,
}

/// A word of ours, or the right refusal: `UnsupportedOperation` for a word of the API that is not served, else invalid.
fn word<T: std::str::FromStr>(given: Option<&str>, default: T, name: &'static str, others: &[&str]) -> Result<T, Error> {
    match given {
        None | Some("") => Ok(default),
        Some(text) if others.contains(&text) => Err(Error::UnsupportedOperation),
        Some(text) => text.parse().map_err(|_| Error::invalid(name)),
    }
}

impl Request {
    fn spec(&self) -> KeySpec {
        self.key_spec.unwrap_or(KeySpec::Aes256)
    }

    /// As asked for; else signing where the key can sign.
    fn usage(&self) -> Result<KeyUsage, Error> {
        let usages = self.spec().usages();
        match self.key_usage {
            None => Ok(usages[0]),
            Some(usage) if usages.contains(&usage) => Ok(usage),
            Some(_) => Err(Error::invalid("KeyUsage")),
        }
    }

    fn origin(&self) -> Result<Origin, Error> {
        word(self.origin.as_deref(), Origin::Service, "Origin", &[])
    }

    fn rotation_s(&self) -> Result<Option<i64>, Error> {
        interval(self.enable_automatic_rotation == Some(true), self.rotation_interval)
    }
}

impl Operation for CreateKey {
    const NAME: &'static str = "CreateKey";
    const EFFECT: Effect = Effect::Write;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        request.usage()?;
        if request.origin()? == Origin::External {
            // Only AES keys are imported (GetParametersForImport).
            if !matches!(request.spec(), KeySpec::Aes128 | KeySpec::Aes192 | KeySpec::Aes256) {
                return Err(Error::UnsupportedOperation);
            }
        }
        let rotates = request.origin()? == Origin::Service && request.spec().is_symmetric();
        if request.rotation_s()?.is_some() && !rotates {
            return Err(Error::invalid("EnableAutomaticRotation"));
        }
        Ok(())
    }

    fn target(_: &Request) -> Target<'_> {
        Target::of(Resource::Keys)
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let rotation_s = request.rotation_s()?;
        let new = NewKey {
            spec: request.spec(),
            usage: request.usage()?,
            origin: request.origin()?,
            protection: request.protection_level.unwrap_or(ProtectionLevel::Software),
            description: request.description.unwrap_or_default().0,
            rotation_s,
            tags: request.tags.unwrap_or_default().0,
            policy: request.policy.map(|policy| policy.0),
        };
        let described = cx.keys.create(cx.caller, &new)?;
        if new.policy.is_some() {
            cx.auth.policy_was_set();
        }
        Ok(Response { key_metadata: KeyMetadata::new(cx.caller, described) })
    }
}
