//! ScheduleKeyDeletion: begins a key's deletion window.

use serde::Deserialize;

use crate::api::fields::Bounded;
use crate::api::{Context, Done, Effect, Operation, Resource, Target};
use crate::base::ids::KeyRef;
use crate::error::Error;

/// Days of the window (ScheduleKeyDeletion).
type WindowDays = Bounded<7, 366>;

pub struct ScheduleKeyDeletion;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    pending_window_in_days: WindowDays,
}

impl Operation for ScheduleKeyDeletion {
    const NAME: &'static str = "ScheduleKeyDeletion";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        cx.keys.schedule_deletion(cx.caller, &request.key_id, request.pending_window_in_days.0)?;
        Ok(Done {})
    }
}
