//! The system keys of a deployment, and the keys that are derived on the token: by ROW for the rows, by INT for the lines of a node's audit logs.
//!
//! Owns: what must hold of the objects that the deployment's row names. Must not know: rows. Called by: app::base, `bulla init`.

use crate::audit::LineKey;
use crate::base::canonical::{Canonical, Purpose};
use crate::base::failure::{Failure, context};
use crate::base::ids::{KeyVersionId, NodeId};
use crate::store::{DeploymentRow, RowKey};
use crate::token::{ObjectKind, Token, TokenError};

/// What to do where the root of row MACs is gone.
const REPLACED: &str =
    "this is a database, or a backup, from before `bulla rekey`, whose rows nobody can verify any more: take one from after it";

/// Proves the system keys by what the token says of them, attributes and label: an id in a row proves nothing, since who writes the
/// database writes the row.
///
/// # Errors
/// When one is missing, or is no system key.
pub fn prove_system_keys(token: &Token, deployment: &DeploymentRow) -> Result<(), Failure> {
    for (name, id, kind) in system_keys(deployment) {
        token.prove_system_key(&id, kind).map_err(|error| {
            let was_replaced = kind == ObjectKind::Row && matches!(error, TokenError::NoSuchKey(_));
            let failure = context(format_args!("token: {name} ({id})"))(error);
            if was_replaced { failure.hint(REPLACED) } else { failure }
        })?;
    }
    Ok(())
}

/// The system keys of a deployment, by name.
pub fn system_keys(deployment: &DeploymentRow) -> [(&'static str, KeyVersionId, ObjectKind); 4] {
    [
        ("SYS", deployment.sys_key, ObjectKind::Sys),
        ("INT", deployment.int_key, ObjectKind::Int),
        ("AUD", deployment.aud_key, ObjectKind::Aud),
        ("ROW", deployment.row_key, ObjectKind::Row),
    ]
}

/// The key of the row MACs, which only the token can derive.
///
/// # Errors
/// When the token is away.
pub fn row_key(token: &Token, deployment: &DeploymentRow) -> Result<RowKey, Failure> {
    let derivation = deployment.derivation();
    let signature = token.mac(&deployment.row_key, derivation.as_bytes()).map_err(context("token: ROW"))?;
    Ok(RowKey::new(&signature))
}

/// The key of the lines of a node's audit logs.
///
/// # Errors
/// When the token is away.
pub fn line_key(token: &Token, deployment: &DeploymentRow, node: &NodeId) -> Result<LineKey, Failure> {
    let input = Canonical::new(Purpose::AuditLines).field(deployment.id.as_bytes()).field(node.as_bytes());
    let signature = token.mac(&deployment.int_key, input.as_bytes()).map_err(context("token: INT"))?;
    Ok(LineKey::new(&signature))
}
