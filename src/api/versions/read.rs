//! Reading a version by its number, or the current one.

use crate::api::versions::ready;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::SecretRef;
use crate::error::Error;
use crate::secrets::NumberedValue;

/// Which version of which secret; none is the current one.
pub struct Numbered {
    /// The secret.
    pub secret: SecretRef,
    /// The number.
    pub number: Option<i64>,
}

ready!(Numbered);

/// GetSecretValue, by number.
pub struct ReadVersion;

impl Operation for ReadVersion {
    const NAME: &'static str = "GetSecretValue";
    const EFFECT: Effect = Effect::Read;
    type Input = Numbered;
    type Response = NumberedValue;

    fn target(asked: &Numbered) -> Target<'_> {
        let target = Target::of(Resource::Secret(&asked.secret));
        match asked.number {
            Some(number) => target.version(number),
            None => target.version("ACSCurrent"),
        }
    }

    fn run(cx: &Context<'_>, asked: Numbered) -> Result<NumberedValue, Error> {
        let found = cx.secrets.value_numbered(cx.caller, &asked.secret, asked.number)?;
        if found.value.is_some() {
            cx.serves(&found.version.id);
        }
        Ok(found)
    }
}
