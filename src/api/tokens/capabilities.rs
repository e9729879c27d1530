//! What the bearer of a token may do, in the words of its door.

use crate::api::authorised::Authorised;
use crate::api::target::Wanted;
use crate::api::versions::ready;
use crate::api::{Context, Effect, Operation, Resource, Target, UsedKey};
use crate::auth::Principal;
use crate::base::ids::{KeyRef, SecretRef};
use crate::error::Error;
pub use crate::keys::Use;

/// What a caller may do, as a door calls it.
pub struct Capability {
    /// Its name there.
    pub name: &'static str,
    /// The permissions that it needs, all of them; none where a token is enough.
    pub needs: Vec<Need>,
}

/// A permission that is needed.
pub enum Need {
    /// This action on the account's secrets as a whole.
    Secrets(&'static str),
    /// This action on a secret.
    Secret(&'static str, SecretRef),
    /// This action on a key.
    Key(&'static str, KeyRef),
    /// To use a key in a way.
    ToUse(Use, KeyRef),
}

impl Need {
    /// Whether the caller has it. On a key that is not there nobody may do anything.
    fn is_met(&self, cx: &Context<'_>) -> Result<bool, Error> {
        let (action, wanted) = match self {
            Need::Secrets(action) => (*action, Wanted::On(Resource::Secrets)),
            Need::Secret(action, secret) => (*action, Wanted::On(Resource::Secret(secret))),
            Need::Key(action, key) => (*action, Wanted::On(Resource::Key(key))),
            Need::ToUse(purpose, key) => ("", Wanted::ToUse(*purpose, UsedKey::Named(key))),
        };
        match wanted.authorise(cx, action, &mut Authorised::default()).1 {
            Ok(_) => Ok(true),
            Err(Error::NoPermission(_) | Error::KeyNotFound | Error::AliasNotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Paths of a door, and what may be done there.
pub struct Paths(pub Vec<(String, Vec<Capability>)>);

ready!(Paths);

/// Says what the caller may do.
pub struct DescribeCapabilities;

impl Operation for DescribeCapabilities {
    const NAME: &'static str = "DescribeCapabilities";
    const EFFECT: Effect = Effect::Read;
    type Input = Paths;
    type Response = Vec<(String, Vec<&'static str>)>;

    fn target(_: &Paths) -> Target<'_> {
        Target::nothing()
    }

    fn run(cx: &Context<'_>, Paths(paths): Paths) -> Result<Self::Response, Error> {
        let of = |(path, capabilities): (String, Vec<Capability>)| {
            if cx.caller.principal == Principal::Root {
                return Ok((path, vec!["root"]));
            }
            let mut names = Vec::new();
            for capability in capabilities {
                let met = capability.needs.iter().map(|need| need.is_met(cx)).collect::<Result<Vec<_>, _>>()?;
                if met.into_iter().all(|met| met) && !names.contains(&capability.name) {
                    names.push(capability.name);
                }
            }
            Ok((path, if names.is_empty() { vec!["deny"] } else { names }))
        };
        paths.into_iter().map(of).collect()
    }
}
