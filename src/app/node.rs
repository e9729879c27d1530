//! This node's id.
//!
//! Owns: the file of the audit folder that holds it. Called by: app::base.

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::path::Path;

use crate::audit::{self, AuditError};
use crate::base::ids::NodeId;
use crate::base::private_folder;
use crate::base::regular;

/// The file of the audit folder.
const FILE: &str = "node-id";

/// This node's id, from its audit folder; made at the first start. Where the file alone is missing, the logs beside it say whose they are.
pub(super) fn node_id(folder: &Path) -> Result<NodeId, AuditError> {
    let failed = |path: &Path, error: Error| AuditError::of(path, &error);
    private_folder::make(folder).map_err(|e| failed(folder, e))?;
    let file = folder.join(FILE);
    match written(folder)? {
        Some(node) => Ok(node),
        None => {
            let id = told_by_logs(folder).unwrap_or_else(NodeId::new);
            // Linked into place whole and durable, so that of two processes at their first start both use the one that was first, and
            // a crash of the machine leaves no empty one.
            let draft = folder.join(format!("node-id.{id}"));
            let written = std::fs::write(&draft, format!("{id}\n")).and_then(|()| File::open(&draft)?.sync_all());
            let linked = written.is_ok() && std::fs::hard_link(&draft, &file).is_ok();
            std::fs::remove_file(&draft).map_err(|e| failed(&draft, e))?;
            written.and_then(|()| File::open(folder)?.sync_all()).map_err(|e| failed(&draft, e))?;
            if linked { Ok(id) } else { node_id(folder) }
        }
    }
}

/// The id of the node whose audit folder this is; none where no node has started.
pub fn known_node(folder: &Path) -> Result<Option<NodeId>, AuditError> {
    Ok(written(folder)?.or_else(|| told_by_logs(folder)))
}

/// Whose the logs of a folder say that they are, if all say the same. Their lines are proved when they are opened, as that node's.
fn told_by_logs(folder: &Path) -> Option<NodeId> {
    let logs = audit::logs(&[folder.to_owned()]).ok()?;
    let node = logs.first()?.node.parse().ok()?;
    logs.iter().all(|log| log.node == logs[0].node).then_some(node)
}

/// What the file says; none where there is none.
fn written(folder: &Path) -> Result<Option<NodeId>, AuditError> {
    match regular::read_text(&folder.join(FILE)) {
        Ok(text) => text.trim().parse().map(Some).map_err(|e| AuditError::of(&folder.join(FILE), &Error::other(e))),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(AuditError::of(folder, &e)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_folder_is_its_owners_alone_and_keeps_the_id() {
        let above = tempfile::tempdir().expect("a folder");
        let folder = above.path().join("deep/audit");
        let id = node_id(&folder).expect("made");
        for made in [folder.as_path(), &above.path().join("deep")] {
            assert_eq!(std::fs::metadata(made).expect("there").permissions().mode() & 0o777, 0o700);
        }
        assert_eq!(node_id(&folder), Ok(id));
    }
}
