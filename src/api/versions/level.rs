//! The names of secrets under a prefix, one level of them.

use crate::api::versions::ready;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::error::Error;

/// A level, or a part of it.
pub struct Level {
    /// Under which prefix: empty, or with `/` at its end.
    pub prefix: String,
    /// Behind which entry; empty for the first.
    pub after: String,
    /// How many entries are wanted at most.
    pub limit: usize,
}

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

    fn run(cx: &Context<'_>, Level { prefix, after, limit }: Level) -> Result<Vec<String>, Error> {
        cx.secrets.level(cx.caller, &prefix, &after, limit)
    }
}
