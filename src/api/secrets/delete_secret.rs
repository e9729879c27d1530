//! DeleteSecret: begins a secret's deletion window, or deletes it at once.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::clock::Timestamp;
use crate::base::ids::{SecretName, SecretRef};
use crate::error::Error;
use crate::secrets::Deletion;

/// Days of the window.
const WINDOW_DAYS: RangeInclusive<u32> = 7..=30;

/// Days of the window where nothing is said.
const DEFAULT_WINDOW_DAYS: u32 = 30;

/// DeleteSecret.
pub struct DeleteSecret;

/// Parameters. The window is ignored when the deletion is forced.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    force_delete_without_recovery: Option<bool>,
    recovery_window_in_days: Option<u32>,
}

/// Answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_name: SecretName,
    planned_delete_time: Timestamp,
}

impl Operation for DeleteSecret {
    const NAME: &'static str = "DeleteSecret";
    const EFFECT: Effect = Effect::Write;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        let forced = request.force_delete_without_recovery == Some(true);
        let fits = request.recovery_window_in_days.is_none_or(|days| WINDOW_DAYS.contains(&days));
        if forced || fits { Ok(()) } else { Err(Error::invalid("RecoveryWindowInDays")) }
    }

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Secret(&request.secret_name))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let deletion = match request.force_delete_without_recovery {
            Some(true) => Deletion::Now,
            Some(false) | None => {
                let days = request.recovery_window_in_days.unwrap_or(DEFAULT_WINDOW_DAYS);
                Deletion::AfterDays(days)
            }
        };
        let planned_delete_time = cx.secrets.delete(cx.caller, &request.secret_name, deletion)?;
        Ok(Response { secret_name: request.secret_name.name, planned_delete_time })
    }
}
