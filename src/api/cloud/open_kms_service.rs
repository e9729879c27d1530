//! OpenKmsService: a cloud's contract. Here the service is open to every account there is, and says so as the API does.

use serde::Deserialize;

use crate::api::{Context, Done, Effect, Operation, Resource, Target};
use crate::error::Error;

pub struct OpenKmsService;

/// Parameters: none.
#[derive(Deserialize)]
pub struct Request {}

impl Operation for OpenKmsService {
    const NAME: &'static str = "OpenKmsService";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Done;

    fn target(_: &Request) -> Target<'_> {
        Target::of(Resource::Everything)
    }

    fn run(_: &Context<'_>, _: Request) -> Result<Done, Error> {
        Err(Error::ServiceOpened)
    }
}
