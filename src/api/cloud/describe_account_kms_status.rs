//! DescribeAccountKmsStatus: whether the account may use the service. Who gets an answer may.

use serde::{Deserialize, Serialize};

use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::error::Error;

pub struct DescribeAccountKmsStatus;

/// Parameters: none.
#[derive(Deserialize)]
pub struct Request {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    account_status: &'static str,
}

impl Operation for DescribeAccountKmsStatus {
    const NAME: &'static str = "DescribeAccountKmsStatus";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(_: &Request) -> Target<'_> {
        Target::of(Resource::Everything)
    }

    fn run(_: &Context<'_>, _: Request) -> Result<Response, Error> {
        Ok(Response { account_status: "Enabled" })
    }
}
