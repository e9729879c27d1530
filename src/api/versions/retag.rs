//! The tags of a secret, all of them at once; a secret that is not there is made, without a value.

use crate::api::versions::besides::{Creates, Untags};
use crate::api::versions::ready;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::SecretRef;
use crate::error::Error;
use crate::tags::Pairs;

/// What the tags of a secret become.
pub struct Retagged {
    /// The secret.
    pub secret: SecretRef,
    /// From those that it has, those that it gets.
    pub change: Box<dyn Fn(Pairs) -> Pairs>,
    /// Whether the secret is made where it is not there.
    pub create: bool,
}

ready!(Retagged);

/// TagResource, with CreateSecret where there is none and UntagResource where a tag goes: their permissions, and their records.
pub struct Retag;

impl Operation for Retag {
    const NAME: &'static str = "TagResource";
    const EFFECT: Effect = Effect::Write;
    type Input = Retagged;
    type Response = ();

    fn target(asked: &Retagged) -> Target<'_> {
        Target::of(Resource::Secret(&asked.secret))
    }

    fn run(cx: &Context<'_>, asked: Retagged) -> Result<(), Error> {
        let (mut may_create, mut may_untag) = (false, false);
        loop {
            match cx.secrets.retag(cx.caller, &asked.secret, &asked.change, may_create, may_untag) {
                Err(Error::SecretNotFound) if asked.create && !may_create => {
                    cx.also::<Creates>(asked.secret.clone())?;
                    may_create = true;
                }
                Ok(false) if !may_untag => {
                    cx.also::<Untags>(asked.secret.clone())?;
                    may_untag = true;
                }
                done => return done.map(drop),
            }
        }
    }
}
