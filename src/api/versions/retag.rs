//! The tags of a secret, all of them at once; a secret that is not there is made, without a value.

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

/// TagResource, and UntagResource where a tag goes: then the permission for that is needed as well.
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
        let may_create = asked.create.then(|| cx.caller.authorise("kms:CreateSecret", None, "secret").is_ok());
        let may_untag = cx.caller.authorise("kms:UntagResource", None, &format!("secret/{}", asked.secret.name)).is_ok();
        cx.secrets.retag(cx.caller, &asked.secret, asked.change, may_create, may_untag)
    }
}
