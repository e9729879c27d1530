//! DescribeRegions: the one region that this deployment answers as. Needs no permission.

use serde::{Deserialize, Serialize};

use crate::api::{Context, Effect, Operation, Target};
use crate::base::ids::Region;
use crate::error::Error;

pub struct DescribeRegions;

/// Parameters: none.
#[derive(Deserialize)]
pub struct Request {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    regions: RegionList,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RegionList {
    region: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    region_id: Region,
}

impl Operation for DescribeRegions {
    const NAME: &'static str = "DescribeRegions";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(_: &Request) -> Target<'_> {
        Target::nothing()
    }

    fn run(cx: &Context<'_>, _: Request) -> Result<Response, Error> {
        Ok(Response { regions: RegionList { region: vec![Item { region_id: cx.caller.region.clone() }] } })
    }
}
