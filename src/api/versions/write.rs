//! Adding a version, which becomes the current one, and the secret with it where there is none.

use crate::api::versions::ready;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::SecretRef;
use crate::base::secret::Plaintext;
use crate::error::Error;
use crate::secrets::{Added, Put};

/// A value for a secret.
pub struct Written {
    /// The secret.
    pub secret: SecretRef,
    /// The value, made anew for each attempt.
    pub value: Box<dyn Fn() -> Plaintext>,
    /// The number that must be the current one; 0 where there must be none.
    pub expected: Option<i64>,
}

/// From the present value the next.
pub type Change = Box<dyn Fn(&Plaintext) -> Result<Plaintext, Error>>;

/// A change of a secret's value.
pub struct Patched {
    /// The secret.
    pub secret: SecretRef,
    /// From the present value the next.
    pub change: Change,
    /// The number that must be the current one.
    pub expected: Option<i64>,
}

ready!(Written, Patched);

/// PutSecretValue, or CreateSecret where there is none: the permission for what is done is needed.
pub struct WriteVersion;

impl Operation for WriteVersion {
    const NAME: &'static str = "PutSecretValue";
    const EFFECT: Effect = Effect::Write;
    type Input = Written;
    type Response = Added;

    fn target(asked: &Written) -> Target<'_> {
        let other = ("kms:CreateSecret", Resource::NewSecret(&asked.secret.name));
        Target::either(Resource::Secret(&asked.secret), other)
    }

    fn run(cx: &Context<'_>, asked: Written) -> Result<Added, Error> {
        let put = Put {
            expected: asked.expected,
            may_create: cx.caller.authorise("kms:CreateSecret", None, "secret").is_ok(),
            may_add: cx.caller.authorise("kms:PutSecretValue", None, &format!("secret/{}", asked.secret.name)).is_ok(),
            may_restore: false,
        };
        let added = match cx.secrets.put_numbered(cx.caller, &asked.secret, &asked.value, put) {
            Err(Error::SecretInDeleteWindow) => {
                cx.also::<Restores>(asked.secret.clone())?;
                cx.secrets.put_numbered(cx.caller, &asked.secret, &asked.value, Put { may_restore: true, ..put })?
            }
            done => done?,
        };
        cx.serves(&added.version.id);
        Ok(added)
    }
}

/// RestoreSecret, which a write to a secret in its deletion window does as well: its permission, and its record.
struct Restores;

impl Operation for Restores {
    const NAME: &'static str = "RestoreSecret";
    const EFFECT: Effect = Effect::Read;
    type Input = SecretRef;
    type Response = ();

    fn target(secret: &SecretRef) -> Target<'_> {
        Target::of(Resource::Secret(secret))
    }

    fn run(_: &Context<'_>, _: SecretRef) -> Result<(), Error> {
        Ok(())
    }
}

/// PutSecretValue of a value that is made of the present one. As with a value that is put twice, it is opened on the strength of the right
/// to add one, and the caller does not see it.
pub struct PatchVersion;

impl Operation for PatchVersion {
    const NAME: &'static str = "PutSecretValue";
    const EFFECT: Effect = Effect::Write;
    type Input = Patched;
    type Response = Added;

    fn target(asked: &Patched) -> Target<'_> {
        Target::of(Resource::Secret(&asked.secret))
    }

    fn run(cx: &Context<'_>, asked: Patched) -> Result<Added, Error> {
        let added = cx.secrets.patch_numbered(cx.caller, &asked.secret, asked.change, asked.expected)?;
        cx.serves(&added.version.id);
        Ok(added)
    }
}
