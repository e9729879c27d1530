//! The names of secrets under a prefix, one level of them.

use crate::api::versions::ready;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::error::Error;

/// Under which prefix: empty, or with `/` at its end.
pub struct Level(pub String);

ready!(Level);

/// ListSecrets, as a tree.
pub struct ListLevel;

impl Operation for ListLevel {
    const NAME: &'static str = "ListSecrets";
    const EFFECT: Effect = Effect::Read;
    type Input = Level;
    type Response = Vec<String>;

    fn target(_: &Level) -> Target<'_> {
        Target::of(Resource::Secrets)
    }

    fn run(cx: &Context<'_>, Level(prefix): Level) -> Result<Vec<String>, Error> {
        cx.secrets.level(cx.caller, &prefix)
    }
}
