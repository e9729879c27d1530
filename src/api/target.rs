//! What a request acts on, and how its permission is asked for.
//!
//! Owns: resources as policies name them, and the question to the policies. Must not know: what an operation does there.
//! Called by: every operation ([`super::Operation::target`]); the pipeline, which asks.

use crate::api::authorised::Authorised;
use crate::api::context::Context;
use crate::auth::{EVERYTHING, Grant};
use crate::base::ids::{Alias, Home, KeyId, KeyName, KeyRef, KeyVersionId, SecretName, SecretRef};
use crate::error::Error;
use crate::keys::Use;

/// What a request acts on.
pub struct Target<'a> {
    pub(super) wanted: Vec<Wanted<'a>>,
    pub(super) version: Option<String>,
}

/// A permission that is needed.
pub(super) enum Wanted<'a> {
    /// The operation's own, on a resource.
    On(Resource<'a>),
    /// The operation's own on the first, or another action on the second: what is needed shows when it runs, and it asks again.
    Either(Resource<'a>, &'static str, Resource<'a>),
    /// That to use a key in a way.
    ToUse(Use, UsedKey<'a>),
}

impl<'a> Target<'a> {
    /// Nothing: no permission is needed, or each part of the request has a target of its own ([`Context::part`]).
    pub fn nothing() -> Self {
        Self { wanted: Vec::new(), version: None }
    }

    /// One resource.
    pub fn of(resource: Resource<'a>) -> Self {
        Self::nothing().and(resource)
    }

    /// One key that is used like this: needs the permission for that use, with what conditions can ask of it. The operation gets the
    /// key from [`Context::key_for`].
    pub fn using(purpose: Use, key: UsedKey<'a>) -> Self {
        Self::nothing().and_using(purpose, key)
    }

    /// Several resources; the permission is needed on each. At least one, or nothing would be asked for.
    pub fn all(resources: impl Iterator<Item = Resource<'a>>) -> Self {
        let wanted: Vec<_> = resources.map(Wanted::On).collect();
        assert!(!wanted.is_empty(), "a target has a resource");
        Self { wanted, version: None }
    }

    /// One of two: the operation's own on a resource, or another action on another. The operation asks for that which it needs.
    pub fn either(first: Resource<'a>, (action, second): (&'static str, Resource<'a>)) -> Self {
        let mut target = Self::nothing();
        target.wanted.push(Wanted::Either(first, action, second));
        target
    }

    /// Another resource, on which the permission is needed as well.
    pub fn and(mut self, resource: Resource<'a>) -> Self {
        self.wanted.push(Wanted::On(resource));
        self
    }

    /// Another key, which is used like this.
    pub fn and_using(mut self, purpose: Use, key: UsedKey<'a>) -> Self {
        self.wanted.push(Wanted::ToUse(purpose, key));
        self
    }

    /// The version that the record names.
    pub fn version(mut self, version: impl ToString) -> Self {
        self.version = Some(version.to_string());
        self
    }
}

/// A key that is used.
#[derive(Debug, Clone, Copy)]
pub enum UsedKey<'a> {
    /// The caller names it.
    Named(&'a KeyRef),
    /// It has this version, which a blob names. Where there is none, a caller who may not use every key gets the same refusal as for a
    /// key that is not its own to use.
    OfBlob(KeyVersionId),
}

/// A resource as policies name it.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// The account's secrets as a whole.
    Secrets,
    /// A secret about to be made: the permission is on the account's secrets, the record names it.
    NewSecret(&'a SecretName),
    /// One secret.
    Secret(&'a SecretRef),
    /// The account's keys as a whole.
    Keys,
    /// One key.
    Key(&'a KeyRef),
    /// One alias.
    Alias(&'a Alias),
    /// The key that an alias names now.
    KeyOfAlias(&'a Alias),
    /// The account's aliases as a whole.
    Aliases,
    /// Things of a kind that policies do not otherwise speak of: the account's as a whole, or one by name.
    Other(&'static str, Option<&'a str>),
    /// Nothing in particular: only a policy on `*` allows it.
    Everything,
}

impl Wanted<'_> {
    /// The ARN that the record names, and the grant of this permission; the action is the operation's own. What was looked up on the
    /// way is kept.
    pub(super) fn authorise(&self, cx: &Context<'_>, action: &str, kept: &mut Authorised) -> (String, Result<Grant, Error>) {
        match self {
            Wanted::On(resource) => resource.authorise(cx, action, kept),
            Wanted::Either(first, other, second) => {
                let (arn, granted) = first.authorise(cx, action, kept);
                match granted {
                    Err(Error::NoPermission(denied)) => {
                        (arn, second.authorise(cx, other, kept).1.map_err(|_| Error::NoPermission(denied)))
                    }
                    granted => (arn, granted),
                }
            }
            Wanted::ToUse(purpose, UsedKey::Named(key)) => match cx.keys.look_up(cx.caller, key) {
                Ok(found) => {
                    let arn = cx.caller.arn(key.home.as_ref(), found.relative());
                    (arn, found.authorise(cx.caller, *purpose).map(|(grant, key)| kept.keep_key(grant, key)))
                }
                Err(error) => (cx.caller.arn(key.home.as_ref(), &format!("key/{}", key.name)), Err(error)),
            },
            Wanted::ToUse(purpose, UsedKey::OfBlob(version)) => {
                let found = cx.keys.of_blob(cx.caller, version);
                let arn = cx.caller.arn(None, if found.is_there() { found.relative() } else { "key" });
                let granted = found.authorise(cx.caller, *purpose).and_then(|(grant, key)| key.found().map(|()| (grant, key)));
                (arn, granted.map(|(grant, key)| kept.keep_key(grant, key)))
            }
        }
    }
}

impl Resource<'_> {
    fn authorise(&self, cx: &Context<'_>, action: &str, kept: &mut Authorised) -> (String, Result<Grant, Error>) {
        let asked =
            |home: Option<&Home>, relative: &str| (cx.caller.arn(home, relative), cx.caller.authorise(action, home, relative));
        match self {
            Resource::Secrets => asked(None, "secret"),
            Resource::NewSecret(name) => (cx.caller.arn(None, &name.resource()), asked(None, "secret").1),
            Resource::Secret(secret) => asked(secret.home.as_ref(), &secret.name.resource()),
            Resource::Everything => (EVERYTHING.to_owned(), cx.caller.authorise(action, None, EVERYTHING)),
            Resource::Keys => asked(None, "key"),
            Resource::Key(key) => {
                let (home, id) = (
                    key.home.as_ref(),
                    match &key.name {
                        KeyName::Alias(alias) if cx.caller.at_home(key.home.as_ref()) => follow(cx, alias, kept),
                        KeyName::Alias(_) | KeyName::Id(_) => Ok(None),
                    },
                );
                match id {
                    Ok(Some(id)) => asked(home, &id.resource()),
                    Ok(None) => asked(home, &format!("key/{}", key.name)),
                    Err(error) => (cx.caller.arn(home, &format!("key/{}", key.name)), Err(error)),
                }
            }
            Resource::KeyOfAlias(alias) => match follow(cx, alias, kept) {
                Ok(Some(id)) => asked(None, &id.resource()),
                Ok(None) => asked(None, &format!("key/{alias}")),
                Err(error) => (cx.caller.arn(None, &format!("key/{alias}")), Err(error)),
            },
            Resource::Alias(alias) => asked(None, alias.as_str()),
            Resource::Aliases => asked(None, "alias"),
            Resource::Other(kind, None) => asked(None, kind),
            Resource::Other(kind, Some(name)) => asked(None, &format!("{kind}/{name}")),
        }
    }
}

/// The key that an alias of the caller's account names, and keeps it for the operation.
fn follow(cx: &Context<'_>, alias: &Alias, kept: &mut Authorised) -> Result<Option<KeyId>, Error> {
    let key = cx.keys.named_by(cx.caller, alias)?;
    kept.aliases.push((alias.clone(), key));
    Ok(key)
}
