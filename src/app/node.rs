//! This node's id.
//!
//! Owns: the file of the audit folder that holds it. Called by: app::base.

use std::path::Path;

use crate::audit::AuditError;
use crate::base::ids::NodeId;

/// This node's id, from its audit folder; made at the first start. `known` is the node whose logs were in this folder, if any were: then
/// somebody has taken them away, for a folder of another host is not at the same place.
pub(super) fn node_id(folder: &Path, known: Option<NodeId>) -> Result<NodeId, AuditError> {
    let failed = |path: &Path, error: std::io::Error| AuditError::of(path, &error);
    std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    let file = folder.join("node-id");
    match std::fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map_err(|e| failed(&file, std::io::Error::other(e))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let id = NodeId::new();
            if let Some(known) = known {
                let folder = folder.display();
                log::error!(target: "bulla::integrity", "ALARM audit: the logs of node {known}, which were in {folder}, are gone; a new node begins");
            }
            // Linked into place whole, so that of two processes at their first start both use the one that was first.
            let draft = folder.join(format!("node-id.{id}"));
            let written = std::fs::write(&draft, format!("{id}\n"));
            let linked = written.is_ok() && std::fs::hard_link(&draft, &file).is_ok();
            std::fs::remove_file(&draft).map_err(|e| failed(&draft, e))?;
            written.map_err(|e| failed(&draft, e))?;
            if linked { Ok(id) } else { node_id(folder, known) }
        }
        Err(e) => Err(failed(&file, e)),
    }
}
