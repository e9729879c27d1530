//! GetSecretValue: the value of a version, by stage (ACSCurrent where nothing is said), by id, or by both. Of a managed secret the
//! version is chosen by stage only.

use serde::{Deserialize, Serialize};

use crate::api::fields::{Flag, no_recipient, plaintext};
use crate::api::secrets::RotationFields;
use crate::api::secrets::VersionStages;
use crate::api::{Context, Effect, Input, Operation, Resource, Target};
use crate::base::clock::Timestamp;
use crate::base::ids::{Home, SecretName, SecretRef, Stage, VersionId};
use crate::base::secret::Plaintext;
use crate::base::words::{DataType, SecretType};
use crate::error::Error;
use crate::secrets::Selector;

pub struct GetSecretValue;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    version_stage: Option<Stage>,
    version_id: Option<VersionId>,
    fetch_extended_config: Option<Flag>,
    recipient: Option<String>,
}

impl Request {
    /// The secret's name.
    pub fn name(&self) -> &SecretName {
        &self.secret_name.name
    }

    /// Where it is, if that is said.
    pub fn home(&self) -> Option<&Home> {
        self.secret_name.home.as_ref()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_name: SecretName,
    version_id: VersionId,
    #[serde(serialize_with = "plaintext")]
    secret_data: Plaintext,
    secret_data_type: DataType,
    secret_type: SecretType,
    version_stages: VersionStages,
    create_time: Timestamp,
    #[serde(flatten)]
    rotation: Option<RotationFields>,
}

/// Which version of which secret.
pub struct Asked {
    secret: SecretRef,
    selector: Selector,
    /// Whether the configuration of a managed secret is told too.
    with_config: bool,
}

impl Input for Asked {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        no_recipient(request.recipient.as_ref())?;
        let selector = match (request.version_id, request.version_stage) {
            (Some(version), stage) => Selector::Version(version, stage),
            (None, stage) => Selector::Stage(stage.unwrap_or_else(Stage::current)),
        };
        let with_config = request.fetch_extended_config == Some(Flag(true));
        Ok(Self { secret: request.secret_name, selector, with_config })
    }
}

impl Operation for GetSecretValue {
    const NAME: &'static str = "GetSecretValue";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = Asked;
    type Response = Response;

    fn target(asked: &Asked) -> Target<'_> {
        let version = match &asked.selector {
            Selector::Version(version, _) => version.as_str(),
            Selector::Stage(stage) => stage.as_str(),
        };
        Target::of(Resource::Secret(&asked.secret)).version(version)
    }

    fn run(cx: &Context<'_>, asked: Asked) -> Result<Response, Error> {
        let found = cx.secrets.value(cx.caller, &asked.secret, &asked.selector)?;
        cx.serves(&found.version);
        Ok(Response {
            secret_name: found.name,
            version_id: found.version,
            secret_data: found.value,
            secret_data_type: found.data_type,
            secret_type: found.secret_type,
            version_stages: found.stages.into(),
            create_time: found.created_at,
            rotation: found.rotation.map(|r| RotationFields::of(r, asked.with_config)),
        })
    }
}
