//! What a request acts on, and how its permission is asked for.
//!
//! Owns: resources as policies name them, and the question to the policies. Must not know: what an operation does there.
//! Called by: every operation ([`super::Operation::target`]); the pipeline, which asks.

use crate::api::context::Context;
use crate::auth::{EVERYTHING, Facts, Grant};
use crate::base::ids::{Alias, Home, KeyName, KeyRef, KeyVersionId, SecretName, SecretRef};
use crate::error::Error;
use crate::keys::Use;

/// What a request acts on.
pub struct Target<'a> {
    /// Resources; each may be a key that is used in a way of its own, else the operation's name is the permission.
    pub(super) resources: Vec<(Option<Use>, Resource<'a>)>,
    pub(super) version: Option<String>,
}

impl<'a> Target<'a> {
    /// Nothing: no permission is needed, or each part of the request has a target of its own ([`Context::part`]).
    pub fn nothing() -> Self {
        Self { resources: Vec::new(), version: None }
    }

    /// One resource.
    pub fn of(resource: Resource<'a>) -> Self {
        Self { resources: vec![(None, resource)], version: None }
    }

    /// One resource, as a key that is used like this: needs the permission for that use, with what conditions can ask of it.
    pub fn using(purpose: Use, resource: Resource<'a>) -> Self {
        Self { resources: vec![(Some(purpose), resource)], version: None }
    }

    /// Several resources; the permission is needed on each. At least one, or nothing would be asked for.
    pub fn all(resources: impl Iterator<Item = Resource<'a>>) -> Self {
        let resources: Vec<_> = resources.map(|resource| (None, resource)).collect();
        assert!(!resources.is_empty(), "a target has a resource");
        Self { resources, version: None }
    }

    /// Another resource, on which the permission is needed as well.
    pub fn and(mut self, resource: Resource<'a>) -> Self {
        self.resources.push((None, resource));
        self
    }

    /// Another resource, as a key that is used like this.
    pub fn and_using(mut self, purpose: Use, resource: Resource<'a>) -> Self {
        self.resources.push((Some(purpose), resource));
        self
    }

    /// The version that the record names.
    pub fn version(mut self, version: impl ToString) -> Self {
        self.version = Some(version.to_string());
        self
    }
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
    /// The key that has this version, which a blob names: looked up to know what the permission is asked for. Where there is
    /// none, a caller who may not use every key gets the same refusal as for a key that is not its own to use.
    KeyOf(KeyVersionId),
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

impl Resource<'_> {
    /// The ARN that the record names, and the grant of the action on this resource.
    pub(super) fn authorise(&self, cx: &Context<'_>, action: &str, facts: Facts<'_>) -> (String, Result<Grant, Error>) {
        let ask = |home: Option<&Home>, relative: &str| cx.caller.authorise_given(action, home, relative, facts);
        match self {
            Resource::Secrets => (cx.caller.arn(None, "secret"), ask(None, "secret")),
            Resource::NewSecret(name) => (cx.caller.arn(None, &format!("secret/{name}")), ask(None, "secret")),
            Resource::Everything => (EVERYTHING.to_owned(), ask(None, EVERYTHING)),
            Resource::Keys => (cx.caller.arn(None, "key"), ask(None, "key")),
            Resource::Other(kind, None) => (cx.caller.arn(None, kind), ask(None, kind)),
            Resource::Other(kind, Some(name)) => {
                let relative = format!("{kind}/{name}");
                (cx.caller.arn(None, &relative), ask(None, &relative))
            }
            Resource::Secret(secret) => {
                let (home, relative) = (secret.home.as_ref(), format!("secret/{}", secret.name));
                (cx.caller.arn(home, &relative), ask(home, &relative))
            }
            Resource::Alias(alias) => (cx.caller.arn(None, alias.as_str()), ask(None, alias.as_str())),
            Resource::Aliases => (cx.caller.arn(None, "alias"), ask(None, "alias")),
            Resource::KeyOfAlias(alias) => {
                let key = KeyRef { home: None, name: KeyName::Alias((*alias).clone()) };
                Resource::Key(&key).authorise(cx, action, facts)
            }
            Resource::KeyOf(version) => match cx.keys.of_blob(cx.caller, version) {
                Ok(key) => {
                    let relative = format!("key/{}", key.id);
                    (cx.caller.arn(None, &relative), ask(None, &relative))
                }
                Err(error) => {
                    let refused = ask(None, &format!("key/{version}")).and(Err(error));
                    (cx.caller.arn(None, "key"), refused)
                }
            },
            Resource::Key(key) => {
                let home = key.home.as_ref();
                match cx.keys.resource(cx.caller, key) {
                    Ok(relative) => (cx.caller.arn(home, &relative), ask(home, &relative)),
                    Err(error) => (cx.caller.arn(home, &format!("key/{}", key.name)), Err(error)),
                }
            }
        }
    }
}
