//! GetSecretValue: which version, and its value.
//!
//! Owns: selection by stage and version, and the checks before a value is given out. Must not know: HTTP, PKCS#11, SQL.
//! Called by: api::secrets::get_secret_value.

use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::ids::{SecretName, SecretRef, Stage, VersionId};
use crate::base::secret::Plaintext;
use crate::base::words::{DataType, SecretType};
use crate::error::Error;
use crate::keys::{self, Use};
use crate::secrets::find::{Life, life};
use crate::secrets::rotation_policy::rotation_of;
use crate::secrets::{Rotation, Secrets};
use crate::store::{Abort, Tx, ValueRow};

/// Which version of a secret: by stage, by id, or both, which must then name the same version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The version that carries the stage.
    Stage(Stage),
    /// The version with this id, and, where given, only if it carries the stage.
    Version(VersionId, Option<Stage>),
}

/// A value and what is said of it.
#[derive(Debug)]
pub struct Value {
    /// The secret's name.
    pub name: SecretName,
    /// The secret's type.
    pub secret_type: SecretType,
    /// The version's id.
    pub version: VersionId,
    /// The value.
    pub value: Plaintext,
    /// Text or binary.
    pub data_type: DataType,
    /// Every stage of the version.
    pub stages: Vec<Stage>,
    /// When the version was made.
    pub created_at: Timestamp,
    /// How it is rotated, if it is a managed one.
    pub rotation: Option<Rotation>,
}

impl Secrets {
    /// The value of one version.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`], [`Error::SecretVersionNotFound`], [`Error::SecretStageNotFound`]; [`Error::SecretInDeleteWindow`];
    /// [`Error::NoPermission`] and [`Error::KeyState`] of the key; [`Error::Integrity`] when any stored byte does not verify.
    pub fn value(&self, caller: &Caller, secret: &SecretRef, selector: &Selector) -> Result<Value, Error> {
        if !caller.at_home(secret.home.as_ref()) {
            return Err(Error::SecretNotFound);
        }
        let row = self.store.read_one("secret_value", |tx| select(tx, caller, &secret.name, selector, caller.now()))?;
        let ValueRow { secret, key, version, stages } = row;
        let version = version.ok_or_else(|| missing_version(&secret.name))?;
        let admitted = keys::admit(caller, &key, Use::Decrypt)?;
        let rotation = match secret.secret_type {
            SecretType::Generic => None,
            _ => {
                let row = self.store.read_one("secret_rotation", |tx| rotation_of(tx, &secret))?;
                Some(Rotation::of(&row)?)
            }
        };
        let value = self.open(&secret, &admitted, &version)?;
        Ok(Value {
            name: secret.name,
            secret_type: secret.secret_type,
            version: version.version_id,
            value,
            data_type: version.data_type,
            stages,
            created_at: version.created_at,
            rotation,
        })
    }
}

/// The selected version, with its secret, its key and its stages.
fn select(
    tx: &mut Tx<'_>,
    caller: &Caller,
    name: &SecretName,
    selector: &Selector,
    now: Timestamp,
) -> Result<ValueRow, Abort<Error>> {
    let not_found = || Abort::App(Error::SecretNotFound);
    let row = match selector {
        Selector::Stage(stage) => tx.value_by_stage(&caller.account, name, stage)?,
        Selector::Version(version, _) => tx.value_by_version(&caller.account, name, version)?,
    };
    let row = row.ok_or_else(not_found)?;
    if let Selector::Version(_, stage) = selector
        && row.secret.secret_type != SecretType::Generic
    {
        // Of managed secrets only what is and was served can be read: a version by its id may be one that no server knows yet.
        let stage = stage.clone().unwrap_or_else(Stage::current);
        return select(tx, caller, name, &Selector::Stage(stage), now);
    }
    match life(&row.secret, now) {
        Life::Live => {}
        Life::Window(_) => return Err(Abort::App(Error::SecretInDeleteWindow)),
        Life::Gone => return Err(not_found()),
    }
    match (selector, &row.version) {
        // Every secret has a current version; one without has lost a row.
        (Selector::Stage(stage), None) if stage.as_str() == Stage::CURRENT => Err(Abort::App(missing_version(name))),
        (Selector::Stage(_), None) => Err(Abort::App(Error::SecretStageNotFound)),
        (Selector::Version(..), None) => Err(Abort::App(Error::SecretVersionNotFound)),
        (Selector::Version(_, Some(stage)), Some(_)) if !row.stages.contains(stage) => {
            Err(Abort::App(Error::SecretStageNotFound))
        }
        (_, Some(version)) if version.destroyed => Err(Abort::App(Error::SecretVersionNotFound)),
        (_, Some(version)) if version.deleted_at.is_some() => Err(Abort::App(Error::SecretVersionDeleted)),
        (_, Some(_)) => Ok(row),
    }
}

fn missing_version(name: &SecretName) -> Error {
    Error::Integrity(format!("a stage of secret {name} names a version that is not there"))
}
