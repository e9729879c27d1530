//! That neither the database nor the audit log of this node was put back to an earlier state: each knows how far the other had come.
//!
//! Owns: what is written where, and the comparisons at the opening of a log. Must not know: how either keeps it. Called by: app::base;
//! app::anchor_watch, while a node serves.
//!
//! - The database's row of this node's log says what the log's last durable line was. A log that lacks it was cut.
//! - The log's checkpoints say which such row was the last. A database without it, or with an earlier one, is an older copy. What the
//!   log tells of requests behind that, the database must have as well.
//! - Such a row also says how many changes the database had had. One whose digests count fewer was put back in part.
//!
//! `bulla restore` accepts a database that is older on purpose: it writes a time into the row `anchors`, and whoever finds a later
//! time there than it knew begins anew.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::audit::{Audit, Recovered};
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::NodeId;
use crate::effect::RETENTION_MS;
use crate::store::{Abort, AnchorsRow, Head, LogHeadRow, LogHeads, Store, StoreError};

/// The most requests that are asked after, the last ones: whoever puts a database back undoes its end.
const MAX_REQUESTS: usize = 64;

/// The longest that a request may have been under way before its effect, ms.
pub(super) const MAX_REQUEST_MS: i64 = 5 * 60_000;

/// How long ago, ms, a request may have been whose mark nobody has swept away: much less than marks are kept.
const UNSWEPT_MS: i64 = 15 * 60_000;

/// Which row of the database a log knew last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// When the database had last been accepted as it was.
    pub restored_at: Timestamp,
    /// The row's number.
    pub generation: i64,
    /// Its token.
    token: Vec<u8>,
}

impl Anchor {
    fn of(row: &LogHeadRow, restored_at: Timestamp) -> Self {
        Self { restored_at, generation: row.generation, token: row.token.clone() }
    }

    /// As it stands in the log.
    fn text(&self) -> String {
        format!("{}.{}.{}", self.restored_at.0, self.generation, hex::encode(&self.token))
    }
}

impl FromStr for Anchor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.');
        let mut part = || parts.next().ok_or(());
        Ok(Self {
            restored_at: Timestamp(part()?.parse().map_err(drop)?),
            generation: part()?.parse().map_err(drop)?,
            token: hex::decode(part()?).map_err(drop)?,
        })
    }
}

/// Where a folder of logs is, so that it is known again when nothing is left in it: host and path.
pub fn place_of(folder: &Path) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    format!("{host}:{}", path.display())
}

/// What the database says of logs, and of itself, if its schema is still this program's.
pub(super) fn read(store: &Store) -> Result<(LogHeads, AnchorsRow), StoreError> {
    let (heads, anchors) = found(store)?;
    Ok((heads, anchors?))
}

/// The same, where what is wrong with the anchors alone is an answer too.
pub(super) fn found(store: &Store) -> Result<(LogHeads, Result<AnchorsRow, StoreError>), StoreError> {
    store.read_rows("anchors", |tx| {
        tx.shape_checked()?;
        Ok((tx.log_heads()?, tx.anchors_told()?))
    })
}

/// In words, that there are heads that nobody wrote.
pub(super) fn strange_heads(count: usize) -> String {
    format!("{count} rows of log_heads do not verify, and are taken for none; `bulla verify` names them")
}

/// The head that the database has of a log of this node, whatever else it says.
///
/// # Errors
/// As any read.
pub(super) fn head_of_log(store: &Store, node: &NodeId, log: &str) -> Result<Option<LogHeadRow>, StoreError> {
    let heads = store.read_rows("anchors", |tx| tx.log_heads())?;
    Ok(heads.rows.into_iter().find(|head| head.node == *node && head.log == log))
}

/// The head that the database has of a log of this node, and why the database is older than the log, if it is; `now` as for [`older_than`].
///
/// # Errors
/// As any read.
pub(super) fn beside_log(
    store: &Store,
    node: &NodeId,
    log: &str,
    found: &Recovered,
    now: Timestamp,
) -> Result<(Option<LogHeadRow>, Option<String>), StoreError> {
    let (heads, anchors) = read(store)?;
    let head = heads.rows.into_iter().find(|head| head.node == *node && head.log == log);
    let why = older_than(store, node, head.as_ref(), &anchors, found, now)?;
    Ok((head, why.map(|why| format!("the database is older than the log \"{log}\" of this node: {why}"))))
}

/// Whether a database is no older than a log that knew it; why it is. `now` is the last time at which the node of the log may have
/// swept away marks of requests.
///
/// # Errors
/// As any read.
fn older_than(
    store: &Store,
    node: &NodeId,
    head: Option<&LogHeadRow>,
    anchors: &AnchorsRow,
    log: &Recovered,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let Some(known) = log.anchor.as_deref().and_then(|text| text.parse::<Anchor>().ok()) else {
        // The first second of a log, or of a node that never got to a checkpoint.
        let accepted_since = log.last_time.is_some_and(|time| anchors.restored_at > time);
        return if accepted_since { Ok(None) } else { missing_requests(store, node, log, now) };
    };
    if anchors.restored_at > known.restored_at {
        return Ok(None);
    }
    let reason = match head {
        _ if anchors.restored_at < known.restored_at => "it knows nothing of a restoration that the log knows".to_owned(),
        None => format!("it has no head of this log, which knew number {}", known.generation),
        Some(head) if head.generation < known.generation => {
            format!("its head of this log is number {}, and the log knew number {}", head.generation, known.generation)
        }
        Some(head) if head.generation == known.generation && head.token != known.token => {
            format!("its head of this log is another number {} than the one that the log knew", head.generation)
        }
        Some(_) => return missing_requests(store, node, log, now),
    };
    Ok(Some(reason))
}

/// Where the database stood when a row was written.
fn head_of(row: &LogHeadRow) -> Option<Head> {
    let digest = row.digest.as_slice().try_into().ok()?;
    Some(Head { rights: row.rights, changes: row.changes, digest })
}

/// Why the digests of a database are older than its own rows of logs say, if they are: what they count was put back, and these were not.
/// The rows were read before. A part whose digest does not verify has had no changes.
///
/// # Errors
/// As any read; `Corrupt` where the changes of who may do what cannot be told.
pub(super) fn digests_older_than(store: &Store, heads: &[LogHeadRow]) -> Result<Option<String>, StoreError> {
    let now = store.head_told()?;
    let contradiction = |row: &LogHeadRow| {
        let why = head_of(row).map_or_else(|| Some("a digest of another length".to_owned()), |then| now.contradicts(&then));
        why.map(|why| format!("the row of the log \"{}\" of node {} says so: {why}", row.log, row.node))
    };
    Ok(heads.iter().find_map(contradiction))
}

/// What the log tells and the database does not have.
fn missing_requests(store: &Store, node: &NodeId, log: &Recovered, now: Timestamp) -> Result<Option<String>, StoreError> {
    let since = now.plus_ms(-UNSWEPT_MS);
    let last = &log.done[log.done.len().saturating_sub(MAX_REQUESTS)..];
    let last: Vec<_> = last.iter().filter(|(time, _)| *time >= since).map(|(_, id)| *id).collect();
    if last.is_empty() {
        return Ok(None);
    }
    let from = since.plus_ms(RETENTION_MS - MAX_REQUEST_MS);
    let found = store.read_row("anchors", |tx| tx.nonces_of_requests(&last, node, from))?;
    let missing = last.len().saturating_sub(found);
    Ok((missing > 0).then(|| format!("of the last {} changes that the log tells it lacks {missing}", last.len())))
}

/// This node's row of a log, as it was left.
pub(super) struct LogAnchor {
    pub(super) store: Arc<Store>,
    pub(super) audit: Arc<Audit>,
    pub(super) node: NodeId,
    pub(super) log: String,
    pub(super) place: String,
    clock: Clock,
    left: Mutex<Left>,
}

/// What must stand there: the row that was written last, none before the first, and where the end of a write is not known, one of both.
struct Left(Vec<Option<LogHeadRow>>);

impl Left {
    fn allows(&self, row: Option<&LogHeadRow>) -> bool {
        self.0.iter().any(|left| left.as_ref() == row)
    }
}

impl LogAnchor {
    pub(super) fn new(
        store: &Arc<Store>,
        audit: &Arc<Audit>,
        node: NodeId,
        log: &str,
        place: String,
        found: Option<LogHeadRow>,
    ) -> Self {
        let left = Mutex::new(Left(vec![found]));
        let (store, audit) = (Arc::clone(store), Arc::clone(audit));
        Self { store, audit, node, log: log.to_owned(), place, clock: Clock::System, left }
    }

    /// Whether this is as it was left.
    pub(super) fn is_as_left(&self, row: Option<&LogHeadRow>) -> bool {
        self.left.lock().allows(row)
    }

    /// The number of the line that the database knows of.
    pub(super) fn known(&self) -> Option<u64> {
        let left = self.left.lock();
        left.0.first().and_then(Option::as_ref).and_then(|row| u64::try_from(row.seq).ok())
    }

    /// Writes how far the log has come, and has the log say that this was written.
    pub(super) fn write(&self) -> Result<(), StoreError> {
        let Some(end) = self.audit.end() else { return Ok(()) };
        let written_at = self.clock.now();
        let token = uuid::Uuid::new_v4().into_bytes().to_vec();
        let next = std::cell::RefCell::new(None);
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let corrupt = |detail: &str| Abort::Db(StoreError::Corrupt { table: "log_heads", detail: detail.to_owned() });
        // Before, so that it is committed: the database stands there at least.
        let head = match self.store.head() {
            Ok(head) => Some(head),
            Err(StoreError::Corrupt { .. }) => None,
            Err(error) => return Err(error),
        };
        let written = self.store.write("anchors", |tx| {
            let old = tx.log_head(&self.node, &self.log)?;
            if !self.is_as_left(old.as_ref()) {
                return Err(corrupt("it is not as it was left"));
            }
            let head = match (&head, &old) {
                (Some(head), _) => head.clone(),
                // It is not where this node knows that it was, or part of it is not believed: what was known stays, so that others
                // learn of it.
                (None, Some(old)) => {
                    let told = head_of(old).ok_or_else(|| corrupt("a digest of another length"))?;
                    told.or_later(&self.store.head_known())
                }
                (None, None) => self.store.head_known(),
            };
            let new = LogHeadRow {
                node: self.node,
                log: self.log.clone(),
                place: self.place.clone(),
                generation: old.as_ref().map_or(0, |old| old.generation) + 1,
                token: token.clone(),
                seq: number(end.seq),
                hash: end.hash.to_vec(),
                open_from: number(end.open_from),
                rights: head.rights,
                changes: head.changes,
                digest: head.digest.to_vec(),
                written_at,
            };
            tx.log_head_put(old.as_ref(), &new)?;
            next.replace(Some(new.clone()));
            Ok::<_, Abort<StoreError>>((new, tx.anchors()?.restored_at))
        });
        let mut left = self.left.lock();
        match written {
            Ok((row, restored_at)) => {
                self.audit.set_anchor(Anchor::of(&row, restored_at).text());
                *left = Left(vec![Some(row)]);
                Ok(())
            }
            Err(error) => {
                if matches!(error, StoreError::Unknown(_)) {
                    left.0.extend(next.into_inner().map(Some));
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(generation: i64) -> LogHeadRow {
        LogHeadRow {
            node: NodeId::new(),
            log: "audit".to_owned(),
            place: String::new(),
            generation,
            token: vec![7; 16],
            seq: 1,
            hash: Vec::new(),
            open_from: 1,
            rights: 0,
            changes: 0,
            digest: Vec::new(),
            written_at: Timestamp(0),
        }
    }

    /// As on a disk that is full when the first row is committed.
    #[test]
    fn where_the_end_of_a_write_is_not_known_what_was_before_may_stand_there_too() {
        let (first, second) = (row(1), row(2));
        let before_any = Left(vec![None]);
        assert!(before_any.allows(None) && !before_any.allows(Some(&first)));
        let after_the_first = Left(vec![None, Some(first.clone())]);
        assert!(after_the_first.allows(None) && after_the_first.allows(Some(&first)) && !after_the_first.allows(Some(&second)));
        let after_the_second = Left(vec![Some(first.clone()), Some(second.clone())]);
        assert!(
            !after_the_second.allows(None) && after_the_second.allows(Some(&first)) && after_the_second.allows(Some(&second))
        );
    }
}
