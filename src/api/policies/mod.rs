//! Operations on the policies of single secrets and keys, one file each, and the parameters that they share.

pub mod get_key_policy;
pub mod get_secret_policy;
pub mod set_key_policy;
pub mod set_secret_policy;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::api::fields::Text;
use crate::api::json::not_null;
use crate::auth::policy::{PolicyError, ResourcePolicy};
use crate::error::Error;

/// Policy: a document that was read completely; kept as it was given.
#[derive(Debug)]
pub struct PolicyText(pub String);

impl<'de> Deserialize<'de> for PolicyText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        not_null("a policy", &text)?;
        let told = |fault: PolicyError| {
            let told: String = fault.to_string().chars().take(MAX_NAME_BYTES).collect();
            D::Error::custom(format_args!("a policy that is understood ({told})"))
        };
        ResourcePolicy::parse(&text).map(|_| Self(text)).map_err(told)
    }
}

/// Characters of what is said of a document.
const MAX_NAME_BYTES: usize = 400;

/// PolicyName: every secret and key has one policy, named `default`.
#[derive(Deserialize)]
pub struct PolicyName(Text);

/// Refuses any other name as one that is not found.
fn only_default(name: Option<&PolicyName>) -> Result<(), Error> {
    if name.is_none_or(|name| name.0.0 == "default") { Ok(()) } else { Err(Error::PolicyNotFound) }
}

/// The answer to GetSecretPolicy and GetKeyPolicy.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shown {
    policy: String,
}
