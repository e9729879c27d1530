//! What is known of a key and its versions.

use crate::api::numbered_keys::versions;
use crate::api::{Context, Effect, Operation, Resource, Target, UsedKey};
use crate::base::clock::Timestamp;
use crate::base::ids::{KeyName, KeyRef, KeyVersionId};
use crate::base::words::{KeySpec, KeyUsage};
use crate::error::Error;
use crate::keys::Use;

/// A key.
pub struct NumberedKey {
    /// What it is made of.
    pub spec: KeySpec,
    /// Whether it is for signatures.
    pub signs: bool,
    /// When each version was made, the oldest first.
    pub versions: Vec<Timestamp>,
    /// The public half of each in PEM, in the same order; none where there is none, or the caller may not have it.
    pub public_keys: Vec<String>,
}

/// DescribeKey.
pub struct DescribeNumbered;

impl Operation for DescribeNumbered {
    const NAME: &'static str = "DescribeKey";
    const EFFECT: Effect = Effect::Read;
    type Input = KeyRef;
    type Response = NumberedKey;

    fn target(key: &KeyRef) -> Target<'_> {
        Target::of(Resource::Key(key))
    }

    fn run(cx: &Context<'_>, key: KeyRef) -> Result<NumberedKey, Error> {
        let id = match &key.name {
            KeyName::Alias(alias) => KeyRef { home: None, name: KeyName::Id(cx.named_by(alias)?.to_string()) },
            KeyName::Id(_) => key,
        };
        let found = cx.keys.describe(cx.caller, &id)?.key;
        let versions = versions(cx, &found.id)?.into_iter().map(|(_, created_at)| created_at).collect();
        let is_pair = !found.spec.is_symmetric() && found.spec.mac_algorithm().is_none();
        let public_keys = if is_pair { cx.also::<PublicKeys>(id) } else { Ok(Vec::new()) };
        let public_keys = match public_keys {
            Err(Error::NoPermission(_) | Error::KeyState(_)) => Vec::new(),
            done => done?,
        };
        Ok(NumberedKey { spec: found.spec, signs: found.usage == KeyUsage::SignVerify, versions, public_keys })
    }
}

/// GetPublicKey of all versions, with its own permission and record.
struct PublicKeys;

impl Operation for PublicKeys {
    const NAME: &'static str = "GetPublicKey";
    const EFFECT: Effect = Effect::Read;
    type Input = KeyRef;
    type Response = Vec<String>;

    fn target(key: &KeyRef) -> Target<'_> {
        Target::using(Use::GetPublicKey, UsedKey::Named(key))
    }

    fn run(cx: &Context<'_>, _: KeyRef) -> Result<Vec<String>, Error> {
        let of = |(id, _): (KeyVersionId, Timestamp)| {
            let key = cx.key_version_for(Use::GetPublicKey, &id)?;
            Ok(cx.keys.public_key(&key)?.to_pem())
        };
        versions(cx, cx.key_for(Use::GetPublicKey)?.key())?.into_iter().map(of).collect()
    }
}
