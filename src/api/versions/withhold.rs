//! Versions that are deleted, undeleted, destroyed.

use crate::api::versions::ready;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::SecretRef;
use crate::error::Error;
use crate::secrets::{Which, Withheld};

/// Some versions of a secret.
pub struct Versions {
    /// The secret.
    pub secret: SecretRef,
    /// Which.
    pub which: Which,
}

ready!(Versions);

fn target(asked: &Versions) -> Target<'_> {
    let target = Target::of(Resource::Secret(&asked.secret));
    match &asked.which {
        Which::Current => target.version("ACSCurrent"),
        Which::Numbers(numbers) => {
            let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
            target.version(numbers.join(","))
        }
    }
}

macro_rules! withholding {
    ($(#[$doc:meta] $operation:ident: $name:literal as $permission:literal => $to:expr;)+) => {$(
        #[$doc]
        pub struct $operation;

        impl Operation for $operation {
            const NAME: &'static str = $name;
            const PERMISSION: &'static str = $permission;
            const EFFECT: Effect = Effect::Write;
            type Input = Versions;
            type Response = ();

            fn target(asked: &Versions) -> Target<'_> {
                target(asked)
            }

            fn run(cx: &Context<'_>, asked: Versions) -> Result<(), Error> {
                cx.secrets.withhold(cx.caller, &asked.secret, &asked.which, $to)
            }
        }
    )+};
}

withholding! {
    /// They are not served until they are undeleted.
    DeleteVersions: "DeleteSecretVersions" as "DeleteSecret" => Withheld::Deleted;
    /// They are served again.
    UndeleteVersions: "RestoreSecretVersions" as "RestoreSecret" => Withheld::Undeleted;
    /// Their data keys and values go for ever.
    DestroyVersions: "DestroySecretVersions" as "DeleteSecret" => Withheld::Destroyed;
}
