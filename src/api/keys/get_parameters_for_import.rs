//! GetParametersForImport: a public key to encrypt material with, and the token to send with it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Effect, Input, Operation, Resource, Target};
use crate::base::clock::Timestamp;
use crate::base::field::Field;
use crate::base::ids::{KeyId, KeyRef};
use crate::base::words::ImportAlgorithm;
use crate::error::Error;

/// What would be right.
const ALGORITHMS: &str = "It must be RSAES_OAEP_SHA_256, RSAES_OAEP_SHA_1 or RSAES_PKCS1_V1_5.";

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

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    key_id: KeyId,
    public_key: String,
    import_token: String,
    token_expire_time: Timestamp,
}

/// For which key, and how its material will be wrapped.
pub struct Asked {
    key: KeyRef,
    algorithm: ImportAlgorithm,
}

impl Input for Asked {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let algorithm = match (request.wrapping_key_spec.as_str(), request.wrapping_algorithm.as_str()) {
            ("EC_SM2", "SM2PKE") => return Err(Error::UnsupportedOperation("wrapping keys are RSA_2048")),
            ("RSA_2048", algorithm) => {
                algorithm.parse().map_err(|_| Error::invalid_since(Field::WrappingAlgorithm, ALGORITHMS))?
            }
            ("EC_SM2", _) => return Err(Error::invalid_since(Field::WrappingAlgorithm, "It must be SM2PKE.")),
            _ => return Err(Error::invalid_since(Field::WrappingKeySpec, "It must be RSA_2048.")),
        };
        Ok(Self { key: request.key_id, algorithm })
    }
}

impl Operation for GetParametersForImport {
    const NAME: &'static str = "GetParametersForImport";
    const EFFECT: Effect = Effect::Write;
    type Input = Asked;
    type Response = Response;

    fn target(asked: &Asked) -> Target<'_> {
        Target::of(Resource::Key(&asked.key))
    }

    fn run(cx: &Context<'_>, asked: Asked) -> Result<Response, Error> {
        let made = cx.keys.import_parameters(cx.caller, &asked.key, asked.algorithm)?;
        Ok(Response {
            key_id: made.key,
            public_key: STANDARD.encode(made.public_key),
            import_token: made.token,
            token_expire_time: made.expires_at,
        })
    }
}
