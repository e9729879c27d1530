//! GetParametersForImport: a public key to encrypt material with, and the token to send with it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::clock::Timestamp;
use crate::base::ids::{KeyId, KeyRef};
use crate::base::words::ImportAlgorithm;
use crate::error::Error;

/// GetParametersForImport.
pub struct GetParametersForImport;

/// Parameters. Spec and algorithm are texts here, so that those that the API knows and no token here has are told apart from those
/// that nobody knows.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    wrapping_algorithm: String,
    wrapping_key_spec: String,
}

/// Answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    key_id: KeyId,
    public_key: String,
    import_token: String,
    token_expire_time: Timestamp,
}

impl Request {
    fn algorithm(&self) -> Result<ImportAlgorithm, Error> {
        match (self.wrapping_key_spec.as_str(), self.wrapping_algorithm.as_str()) {
            ("EC_SM2", "SM2PKE") => Err(Error::UnsupportedOperation),
            ("RSA_2048", algorithm) => algorithm.parse().map_err(|_| Error::invalid("WrappingAlgorithm")),
            ("EC_SM2", _) => Err(Error::invalid("WrappingAlgorithm")),
            _ => Err(Error::invalid("WrappingKeySpec")),
        }
    }
}

impl Operation for GetParametersForImport {
    const NAME: &'static str = "GetParametersForImport";
    const EFFECT: Effect = Effect::Write;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        request.algorithm().map(drop)
    }

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let made = cx.keys.import_parameters(cx.caller, &request.key_id, request.algorithm()?)?;
        Ok(Response {
            key_id: made.key,
            public_key: STANDARD.encode(made.public_key),
            import_token: made.token,
            token_expire_time: made.expires_at,
        })
    }
}
