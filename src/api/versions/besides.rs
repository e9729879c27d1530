//! What a request about a version may turn out to do besides what it is: another operation's permission, and another operation's record.

use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::SecretRef;
use crate::error::Error;

macro_rules! besides {
    ($($(#[$doc:meta])* $type:ident is $name:literal on |$secret:ident| $resource:expr;)+) => {$(
        $(#[$doc])*
        pub(super) struct $type;

        impl Operation for $type {
            const NAME: &'static str = $name;
            // The intent is the request's.
            const EFFECT: Effect = Effect::Read;
            type Input = SecretRef;
            type Response = ();

            fn target($secret: &SecretRef) -> Target<'_> {
                Target::of($resource)
            }

            fn run(_: &Context<'_>, _: SecretRef) -> Result<(), Error> {
                Ok(())
            }
        }
    )+};
}

besides! {
    /// A write to a secret that is not there makes it.
    Creates is "CreateSecret" on |secret| Resource::NewSecret(&secret.name);
    /// A write to a secret in its deletion window takes it out of that.
    Restores is "RestoreSecret" on |secret| Resource::Secret(secret);
    /// Tags that replace others take some away.
    Untags is "UntagResource" on |secret| Resource::Secret(secret);
}
