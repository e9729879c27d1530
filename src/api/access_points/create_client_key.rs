//! CreateClientKey: makes a client key. Its private half is in this answer and nowhere else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::api::access_points::{ACCESS_POINT, CLIENT_KEY, KEY_ALGORITHM, Time, one};
use crate::api::{Context, Effect, Operation, Target};
use crate::auth::access_point::NewClientKey;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccessKeyId, AccessPointName};
use crate::base::secret::Password;
use crate::error::Error;

pub struct CreateClientKey;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    aap_name: AccessPointName,
    password: Password,
    not_before: Option<Time>,
    not_after: Option<Time>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    client_key_id: AccessKeyId,
    key_algorithm: &'static str,
    not_after: Timestamp,
    not_before: Timestamp,
    private_key_data: String,
}

impl Operation for CreateClientKey {
    const NAME: &'static str = "CreateClientKey";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(one(ACCESS_POINT, request.aap_name.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let new = NewClientKey {
            access_point: request.aap_name,
            password: request.password,
            not_before: request.not_before.map(|time| time.0),
            not_after: request.not_after.map(|time| time.0),
        };
        let (key, file) = cx.auth.access_points().client_key_create(cx.caller, &new)?;
        cx.makes(&format!("{CLIENT_KEY}/{}", key.id));
        Ok(Response {
            client_key_id: key.id,
            key_algorithm: KEY_ALGORITHM,
            not_after: key.not_after,
            not_before: key.not_before,
            private_key_data: STANDARD.encode(file),
        })
    }
}
