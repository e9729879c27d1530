//! GetRandomPassword: a password that nobody has chosen. It is not kept.

use serde::{Deserialize, Serialize};

use crate::api::fields::{Bounded, plaintext};
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::secret::Plaintext;
use crate::error::Error;
use crate::secrets::{Class, PasswordRules};

/// Characters where nothing is said.
const DEFAULT_LENGTH: u32 = 32;

pub struct GetRandomPassword;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    password_length: Option<Bounded<8, 128>>,
    exclude_characters: Option<String>,
    exclude_lowercase: Option<bool>,
    exclude_uppercase: Option<bool>,
    exclude_numbers: Option<bool>,
    exclude_punctuation: Option<bool>,
    require_each_included_type: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    #[serde(serialize_with = "plaintext")]
    random_password: Plaintext,
}

impl Request {
    fn excludes(&self, class: Class) -> bool {
        let said = match class {
            Class::Lowercase => self.exclude_lowercase,
            Class::Uppercase => self.exclude_uppercase,
            Class::Numbers => self.exclude_numbers,
            Class::Punctuation => self.exclude_punctuation,
        };
        said == Some(true)
    }
}

impl Operation for GetRandomPassword {
    const NAME: &'static str = "GetRandomPassword";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(_: &Request) -> Target<'_> {
        Target::of(Resource::Everything)
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let rules = PasswordRules {
            length: request.password_length.map_or(DEFAULT_LENGTH, |length| length.0) as usize,
            classes: Class::ALL.into_iter().filter(|class| !request.excludes(*class)).collect(),
            excluded: request.exclude_characters.unwrap_or_default(),
            each: request.require_each_included_type == Some(true),
        };
        Ok(Response { random_password: cx.secrets.random_password(&rules)? })
    }
}
