//! ImportKeyMaterial: brings material to a key that was made without any, or the same material again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::api::fields::Text;
use crate::api::{Context, Done, Effect, Operation, Resource, Target};
use crate::base::clock::Timestamp;
use crate::base::ids::KeyRef;
use crate::error::Error;

pub struct ImportKeyMaterial;

/// Parameters. The documentation marks KeyMaterialExpireUnix as required and says what holds without it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    encrypted_key_material: EncryptedMaterial,
    import_token: Text,
    #[serde(default)]
    key_material_expire_unix: ExpireUnix,
}

/// Base64 of the ciphertext.
struct EncryptedMaterial(Vec<u8>);

impl<'de> Deserialize<'de> for EncryptedMaterial {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(d)?;
        STANDARD.decode(text).map(Self).map_err(|_| D::Error::custom("Base64"))
    }
}

/// Seconds since 1970; 0, the default, is never.
#[derive(Default)]
struct ExpireUnix(Option<Timestamp>);

impl<'de> Deserialize<'de> for ExpireUnix {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match u64::deserialize(d)? {
            0 => Ok(Self(None)),
            seconds => match i64::try_from(seconds).ok().and_then(|s| s.checked_mul(1000)).map(Timestamp) {
                // Later times have no text.
                Some(time) if time <= Timestamp::LATEST => Ok(Self(Some(time))),
                _ => Err(D::Error::custom(format_args!("seconds since 1970, at most {}", Timestamp::LATEST.0 / 1000))),
            },
        }
    }
}

impl Operation for ImportKeyMaterial {
    const NAME: &'static str = "ImportKeyMaterial";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        let expires_at = request.key_material_expire_unix.0;
        let wrapped = &request.encrypted_key_material.0;
        cx.keys.import_material(cx.caller, &request.key_id, &request.import_token.0, wrapped, expires_at)?;
        Ok(Done {})
    }
}
