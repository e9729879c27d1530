//! UpdateSecretVersionStage: puts a label on a version, takes one away, or both.
//!
//! ACSCurrent and ACSPrevious are moved and never taken away. What ACSCurrent leaves gets ACSPrevious.

use serde::{Deserialize, Serialize};

use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::{SecretName, SecretRef, Stage, VersionId};
use crate::error::Error;
use crate::secrets::Move;

/// UpdateSecretVersionStage.
pub struct UpdateSecretVersionStage;

/// Parameters. RemoveFromVersion alone is for labels of the caller's own.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    version_stage: Stage,
    move_to_version: Option<VersionId>,
    remove_from_version: Option<VersionId>,
}

/// Answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_name: SecretName,
}

impl Operation for UpdateSecretVersionStage {
    const NAME: &'static str = "UpdateSecretVersionStage";
    const EFFECT: Effect = Effect::Write;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        match (&request.move_to_version, &request.remove_from_version) {
            (None, None) => Err(Error::MissingParameter("MoveToVersion".into())),
            (None, Some(_)) if request.version_stage.is_built_in() => Err(Error::invalid("VersionStage")),
            _ => Ok(()),
        }
    }

    fn target(request: &Request) -> Target<'_> {
        let version = request.move_to_version.as_ref().or(request.remove_from_version.as_ref());
        let target = Target::of(Resource::Secret(&request.secret_name));
        version.into_iter().fold(target, |target, version| target.version(version.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let step = Move { stage: request.version_stage, from: request.remove_from_version, to: request.move_to_version };
        cx.secrets.move_stage(cx.caller, &request.secret_name, &step)?;
        Ok(Response { secret_name: request.secret_name.name })
    }
}
