//! UpdateSecretVersionStage: puts a label on a version, takes one away, or both.
//!
//! ACSCurrent and ACSPrevious are moved and never taken away. What ACSCurrent leaves gets ACSPrevious.

use serde::{Deserialize, Serialize};

use crate::api::{Context, Effect, Input, Operation, Resource, Target};
use crate::base::field::Field;
use crate::base::ids::{SecretName, SecretRef, Stage, VersionId};
use crate::error::Error;
use crate::secrets::Move;

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

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_name: SecretName,
}

/// Which label of which secret goes where.
pub struct Asked {
    secret: SecretRef,
    step: Move,
}

impl Input for Asked {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let step = Move { stage: request.version_stage, from: request.remove_from_version, to: request.move_to_version };
        match (&step.to, &step.from) {
            (None, None) => Err(Error::Missing(Field::MoveToVersion)),
            (None, Some(_)) if step.stage.is_built_in() => {
                Err(Error::invalid_since(Field::VersionStage, "ACSCurrent and ACSPrevious are moved, and never taken away."))
            }
            _ => Ok(Self { secret: request.secret_name, step }),
        }
    }
}

impl Operation for UpdateSecretVersionStage {
    const NAME: &'static str = "UpdateSecretVersionStage";
    const EFFECT: Effect = Effect::Write;
    type Input = Asked;
    type Response = Response;

    fn target(asked: &Asked) -> Target<'_> {
        let version = asked.step.to.as_ref().or(asked.step.from.as_ref());
        let target = Target::of(Resource::Secret(&asked.secret));
        version.into_iter().fold(target, |target, version| target.version(version.as_str()))
    }

    fn run(cx: &Context<'_>, asked: Asked) -> Result<Response, Error> {
        cx.secrets.move_stage(cx.caller, &asked.secret, &asked.step)?;
        Ok(Response { secret_name: asked.secret.name })
    }
}
