//! What is known of a key and its versions.

use crate::api::numbered_keys::versions;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::clock::Timestamp;
use crate::base::ids::{KeyName, KeyRef};
use crate::base::words::KeySpec;
use crate::error::Error;

/// A key.
pub struct NumberedKey {
    /// What it is made of.
    pub spec: KeySpec,
    /// When each version was made, the oldest first.
    pub versions: Vec<Timestamp>,
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
        Ok(NumberedKey { spec: found.spec, versions })
    }
}
