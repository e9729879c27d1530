//! DeleteSecret: begins a secret's deletion window, or deletes it at once.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

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

/// Parameters. The window is ignored when the deletion is forced.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    force_delete_without_recovery: Option<bool>,
    recovery_window_in_days: Option<u32>,
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
            (_, Some(days)) if WINDOW_DAYS.contains(&days) => Deletion::AfterDays(days),
            (_, Some(_)) => return Err(Error::invalid_since(Field::RecoveryWindowInDays, "It must be from 7 to 30.")),
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
