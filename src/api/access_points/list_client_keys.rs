//! ListClientKeys: the client keys of the account or of one access point, oldest first.

use serde::{Deserialize, Serialize};

use crate::api::access_points::{ACCESS_POINT, CLIENT_KEY, ClientKeyInfo, one};
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::AccessPointName;
use crate::error::Error;

pub struct ListClientKeys;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    aap_name: Option<AccessPointName>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    client_keys: Vec<ClientKeyInfo>,
}

impl Operation for ListClientKeys {
    const NAME: &'static str = "ListClientKeys";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        match &request.aap_name {
            Some(name) => Target::of(one(ACCESS_POINT, name.as_str())),
            None => Target::of(Resource::Other(CLIENT_KEY, None)),
        }
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let found = cx.auth.access_points().client_keys(cx.caller, request.aap_name.as_ref())?;
        Ok(Response { client_keys: found.into_iter().map(ClientKeyInfo::from).collect() })
    }
}
