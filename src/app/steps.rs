//! Which step of what it may be each part of a deployment stands on: docs/tokens.md lists them, docs/security.md says what they mean.
//!
//! Owns: what is asked of the token for it, and its words. Must not know: who asks. Called by: app::checks, admin (`bulla inventory`).

use std::fmt;

use crate::base::failure::{Failure, context};
use crate::base::ids::KeyVersionId;
use crate::store::DeploymentRow;
use crate::token::{CanaryKey, LeftOut, Token};

/// The steps of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    /// How bytes are encrypted.
    pub suite: &'static str,
    /// CKA_KEY_TYPE of ROW, the root of the row MACs; INT is of the same.
    pub root: String,
    /// CKA_KEY_TYPE of AUD, which signs the audit log.
    pub audit: String,
    /// What tells whether a session works.
    pub canary: &'static str,
    /// Attributes that the token refused to be told of new keys at `bulla init`, as the deployment's row has them.
    pub left_out: Vec<String>,
    /// Those that it refuses now.
    pub refused: Vec<String>,
}

impl Steps {
    /// Those of a deployment whose system keys are proved.
    ///
    /// # Errors
    /// When the token is away.
    pub fn of(token: &Token, row: &DeploymentRow) -> Result<Self, Failure> {
        let key_type = |id: &KeyVersionId| {
            let objects = token.inspect(id).map_err(context(format!("token: {id}")))?;
            let found = objects.iter().find_map(|object| object.attributes.get("CKA_KEY_TYPE").cloned());
            Ok::<_, Failure>(found.unwrap_or_default())
        };
        let described = token.description().map_err(context("token"))?;
        let canary = match described.canary {
            CanaryKey::Session => "a key of the session",
            CanaryKey::Object => "an object of its own",
            CanaryKey::SystemKey => "SYS: this user makes no keys",
        };
        let (root, audit) = (key_type(&row.row_key)?, key_type(&row.aud_key)?);
        let left_out = LeftOut::read(&row.left_out).names();
        let (_, refused) = token.left_out().map_err(context("token"))?;
        let refused = refused.names();
        Ok(Self { suite: row.suite.name(), root, audit, canary, left_out, refused })
    }

    /// Attributes that the token refuses now, and not yet at `bulla init`.
    pub fn refused_since(&self) -> Vec<&str> {
        self.refused.iter().filter(|name| !self.left_out.contains(name)).map(String::as_str).collect()
    }
}

/// Names of attributes, or that there are none.
pub fn names_of(attributes: &[String]) -> String {
    if attributes.is_empty() { "none".to_owned() } else { attributes.join(", ") }
}

/// For people, on one line.
impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { suite, root, audit, canary, left_out, refused } = self;
        let names = names_of(left_out);
        write!(f, "{suite}; ROW is {root}, AUD {audit}; the self-test has {canary}; attributes left out: {names}")?;
        if left_out == refused {
            Ok(())
        } else {
            write!(f, ", recorded at `bulla init`; the token refuses now: {}", names_of(refused))
        }
    }
}
