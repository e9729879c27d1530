//! Adding a version, which becomes the current one, and the secret with it where there is none.

use crate::api::versions::besides::{Creates, Restores};
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

/// PutSecretValue, with CreateSecret where there is none and RestoreSecret in the deletion window: the permission for what is done is
/// needed, and what is done besides has a record of its own.
pub struct WriteVersion;

impl Operation for WriteVersion {
    const NAME: &'static str = "PutSecretValue";
    const EFFECT: Effect = Effect::Commit;
    type Input = Written;
    type Response = Added;

    fn target(asked: &Written) -> Target<'_> {
        let other = ("kms:CreateSecret", Resource::NewSecret(&asked.secret.name));
        Target::either(Resource::Secret(&asked.secret), other)
    }

    fn run(cx: &Context<'_>, asked: Written) -> Result<Added, Error> {
        let may_add = match cx.caller.authorise("kms:PutSecretValue", None, &asked.secret.name.resource()) {
            Err(Error::NoPermission(_)) => false,
            asked => asked.map(|_| true)?,
        };
        let mut put = Put { expected: asked.expected, may_create: false, may_add, may_restore: false };
        let added = loop {
            match cx.secrets.put_numbered(cx.caller, &asked.secret, &asked.value, put) {
                Err(Error::SecretNotFound) if !put.may_create => {
                    cx.also::<Creates>(asked.secret.clone())?;
                    put.may_create = true;
                }
                Err(Error::SecretInDeleteWindow) if !put.may_restore => {
                    cx.also::<Restores>(asked.secret.clone())?;
                    put.may_restore = true;
                }
                done => break done?,
            }
        };
        cx.serves(&added.version.id);
        Ok(added)
    }
}

/// PutSecretValue of a value that is made of the present one. As with a value that is put twice, it is opened on the strength of the right
/// to add one, and the caller does not see it.
pub struct PatchVersion;

impl Operation for PatchVersion {
    const NAME: &'static str = "PutSecretValue";
    const EFFECT: Effect = Effect::Commit;
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
