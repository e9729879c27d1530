//! Parameters of a secret's versions.
//!
//! Owns: the bounds of SecretData, the forms of VersionStages. Called by: CreateSecret, PutSecretValue.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::api::json::from_text;
use crate::base::ids::Stage;
use crate::base::secret::{Plaintext, VALUE_BYTES};

/// SecretData: 1 to 30,720 bytes as it travels; a binary value is Base64, so 23,040 bytes of it (CreateSecret).
pub struct SecretData(pub Plaintext);

impl<'de> Deserialize<'de> for SecretData {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Plaintext::deserialize(d)?;
        match VALUE_BYTES.contains(&value.expose().len()) {
            true => Ok(Self(value)),
            false => Err(D::Error::custom("1 to 30720 bytes, those of Base64 for a binary value")),
        }
    }
}

/// VersionStages: JSON text, `["a","b"]` or `{"VersionStage":["a","b"]}`, of at least one label; ACSCurrent where nothing is said
/// (PutSecretValue, by the command line's page and by the parameter's).
#[derive(Debug)]
pub struct VersionStages(pub Vec<Stage>);

impl Default for VersionStages {
    fn default() -> Self {
        Self(vec![Stage::current()])
    }
}

impl<'de> Deserialize<'de> for VersionStages {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Wrapped {
            version_stage: Vec<Stage>,
        }
        let text = String::deserialize(d)?;
        let stages = if text.trim_start().starts_with('{') {
            from_text::<Wrapped, _>("a JSON list of labels", &text)?.version_stage
        } else {
            from_text::<Vec<Stage>, _>("a JSON list of labels", &text)?
        };
        if stages.is_empty() { Err(D::Error::custom("at least one label")) } else { Ok(Self(stages)) }
    }
}
