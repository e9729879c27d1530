//! GetSecretValue: the value of a version, by stage (ACSCurrent where nothing is said), by id, or by both. Of a managed secret the
//! version is chosen by stage only.

use serde::{Deserialize, Serialize};

use crate::api::fields::{Flag, no_recipient};
use crate::api::secrets::RotationFields;
use crate::api::secrets::VersionStages;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::clock::Timestamp;
use crate::base::ids::{SecretName, SecretRef, Stage, VersionId};
use crate::base::secret::Plaintext;
use crate::base::words::{DataType, SecretType};
use crate::error::Error;
use crate::secrets::Selector;
use crate::wire::encode;

/// GetSecretValue.
pub struct GetSecretValue;

/// Parameters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    version_stage: Option<Stage>,
    version_id: Option<VersionId>,
    fetch_extended_config: Option<Flag>,
    dry_run: Option<bool>,
    recipient: Option<String>,
}

impl Request {
    /// The secret's name.
    pub fn name(&self) -> &SecretName {
        &self.secret_name.name
    }
}

/// Answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_name: SecretName,
    version_id: VersionId,
    #[serde(serialize_with = "encode::plaintext")]
    secret_data: Plaintext,
    secret_data_type: DataType,
    secret_type: SecretType,
    version_stages: VersionStages,
    create_time: Timestamp,
    #[serde(flatten)]
    rotation: Option<RotationFields>,
}

impl Operation for GetSecretValue {
    const NAME: &'static str = "GetSecretValue";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        no_recipient(request.recipient.as_ref())
    }

    fn target(request: &Request) -> Target<'_> {
        let version = request.version_id.as_ref().map(VersionId::as_str);
        let stage = request.version_stage.as_ref().map(Stage::as_str);
        Target::of(Resource::Secret(&request.secret_name)).version(version.or(stage).unwrap_or(Stage::CURRENT))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let selector = match (request.version_id, request.version_stage) {
            (Some(version), stage) => Selector::Version(version, stage),
            (None, stage) => Selector::Stage(stage.unwrap_or_else(Stage::current)),
        };
        let found = cx.secrets.value(cx.caller, &request.secret_name, &selector, request.dry_run == Some(true))?;
        Ok(Response {
            secret_name: found.name,
            version_id: found.version,
            secret_data: found.value,
            secret_data_type: found.data_type,
            secret_type: found.secret_type,
            version_stages: found.stages.into(),
            create_time: found.created_at,
            rotation: found.rotation.map(|r| RotationFields::of(r, request.fetch_extended_config == Some(Flag(true)))),
        })
    }
}
