//! What the database knows of logs: which lines must be there.

use crate::app::{Base, Failure, context, place_of};
use crate::audit::{Log, Report};
use crate::config::Config;
use crate::store::LogHeadRow;

/// The heads of logs, read before the logs are.
pub(super) struct Heads {
    rows: Vec<LogHeadRow>,
    /// This host's folder of logs.
    place: String,
}

impl Heads {
    /// Of the deployment.
    pub(super) fn of(config: &Config, base: &Base) -> Result<Self, Failure> {
        let read = base.store.read_rows("log_heads", |tx| Ok((tx.log_heads()?, tx.anchors_told()?.ok())));
        let (heads, anchors) = read.map_err(context("database"))?;
        // Where nothing says when the database was last accepted, all count.
        let rows = match anchors {
            Some(anchors) => heads.since_restoration(&anchors),
            None => heads.rows,
        };
        Ok(Self { rows, place: place_of(&config.audit.directory) })
    }

    /// Whether any log must be in this host's folder.
    pub(super) fn expects_some(&self) -> bool {
        self.rows.iter().any(|head| head.place == self.place)
    }

    /// What a log lacks of what is known of it.
    pub(super) fn lacks(&self, log: &Log, report: &Report) -> Option<String> {
        let head = self.rows.iter().find(|head| head.node.to_string() == log.node && head.log == log.name)?;
        let known = u64::try_from(head.seq).unwrap_or_default();
        (report.last_seq < known).then(|| {
            format!(
                "{} of node {}: it ends at line {}, and the database knows line {known}",
                log.name, log.node, report.last_seq
            )
        })
    }

    /// The logs that must be in this host's folder and are not.
    pub(super) fn missing(&self, found: &[Log]) -> Vec<String> {
        let here = self.rows.iter().filter(|head| head.place == self.place);
        let is_there = |head: &LogHeadRow| found.iter().any(|log| log.node == head.node.to_string() && log.name == head.log);
        here.filter(|head| !is_there(head))
            .map(|head| format!("{} of node {}: it is gone; the database knows line {}", head.log, head.node, head.seq))
            .collect()
    }
}
