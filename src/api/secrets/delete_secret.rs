//! DeleteSecret: begins a secret's deletion window, or deletes it at once.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::api::fields::{Text, whole_number};
use crate::api::{Context, Effect, Input, Operation, Resource, Target};
use crate::base::clock::Timestamp;
use crate::base::field::Field;
use crate::base::ids::{SecretName, SecretRef};
use crate::error::Error;
use crate::secrets::Deletion;

/// Days of the window.
const WINDOW_DAYS: RangeInclusive<u32> = 7..=30;

/// Days of the window where nothing is said.
const DEFAULT_WINDOW_DAYS: u32 = 30;

pub struct DeleteSecret;

/// Parameters. The window is ignored when the deletion is forced, whatever it says.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    force_delete_without_recovery: Option<bool>,
    recovery_window_in_days: Option<Text>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_name: SecretName,
    planned_delete_time: Timestamp,
}

/// What is deleted, and when.
pub struct Asked {
    secret: SecretRef,
    deletion: Deletion,
}

impl Input for Asked {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let deletion = match (request.force_delete_without_recovery, request.recovery_window_in_days) {
            (Some(true), _) => Deletion::Now,
            (_, None) => Deletion::AfterDays(DEFAULT_WINDOW_DAYS),
            (_, Some(Text(days))) => match whole_number(&days) {
                Some(days) if WINDOW_DAYS.contains(&days) => Deletion::AfterDays(days),
                _ => return Err(Error::invalid_since(Field::RecoveryWindowInDays, "It must be from 7 to 30.")),
            },
        };
        Ok(Self { secret: request.secret_name, deletion })
    }
}

impl Operation for DeleteSecret {
    const NAME: &'static str = "DeleteSecret";
    const EFFECT: Effect = Effect::Write;
    type Input = Asked;
    type Response = Response;

    fn target(asked: &Asked) -> Target<'_> {
        Target::of(Resource::Secret(&asked.secret))
    }

    fn run(cx: &Context<'_>, asked: Asked) -> Result<Response, Error> {
        let planned_delete_time = cx.secrets.delete(cx.caller, &asked.secret, asked.deletion)?;
        Ok(Response { secret_name: asked.secret.name, planned_delete_time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_counts_where_nothing_is_forced() {
        let read = |forced: Option<bool>, days: &str| {
            let request = Request {
                secret_name: SecretRef::try_from("a".to_owned()).expect("a name"),
                force_delete_without_recovery: forced,
                recovery_window_in_days: Some(Text(days.to_owned())),
            };
            Asked::read(request).map(|asked| matches!(asked.deletion, Deletion::Now))
        };
        for days in ["7", "abc", "-1", "31"] {
            assert_eq!(read(Some(true), days), Ok(true), "{days}");
        }
        for forced in [None, Some(false)] {
            assert_eq!(read(forced, "7"), Ok(false));
            for days in ["abc", "-1", "+7", "6", "31", "7.0"] {
                assert!(read(forced, days).is_err(), "{days}");
            }
        }
    }
}
