//! What this node remembers of the digests, so that most reads are proved without a query.
//!
//! Owns: the digests of who may do what as they were last read, the rows that were proved with them, and what can only rise. Must not
//! know: SQL, rows. Called by: tx, runner, the ledger.
//!
//! Nothing in here depends on how many secrets there are.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::base::ids::{AccountId, SecretId};
use crate::store::engine::digest::{Digest, RowMac};
use crate::store::engine::marks::Marks;
use crate::store::engine::part_sum::PartSum;
use crate::store::engine::scope::{Scope, part_of};
use crate::store::engine::scope_digests::ScopeDigests;

/// How long the digests are believed without asking whether anything changed.
const YOUNG: Duration = Duration::from_secs(1);

/// How long writes ask again once something was not as it was known: a server logs each statement that it refuses.
const ALONE_AGAIN: Duration = Duration::from_secs(10);

/// How long one waits for its turn to change a part.
const TURN: Duration = Duration::from_secs(1);

/// How many proved rows are remembered; past it the memory starts anew.
const MOST_ROWS: usize = 200_000;

/// Every digest of who may do what, as of one state of the database.
#[derive(Clone, Default)]
pub(in crate::store) struct Scopes {
    /// How many changes there had been.
    pub(in crate::store) seq: i64,
    /// The MAC of the row that counts the others; none while there was none.
    pub(in crate::store) root: Option<RowMac>,
    /// The digest of each.
    pub(in crate::store) digests: ScopeDigests,
    /// How many rows did not verify when it was read.
    pub(in crate::store) strange: usize,
}

/// A digest of a part of the secrets, as it was last read or written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct PartState {
    /// How often it had changed.
    pub(in crate::store) seq: i64,
    /// The sum.
    pub(in crate::store) sum: PartSum,
    /// The MAC of its row.
    pub(in crate::store) mac: RowMac,
}

/// What is different since a number of changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Accounts, about whose callers something is.
    pub accounts: Vec<AccountId>,
    /// Bearer tokens: their accounts, and the first byte of their digests.
    pub tokens: Vec<(AccountId, u8)>,
}

#[derive(Default)]
struct Rights {
    scopes: Arc<Scopes>,
    read_at: Option<Instant>,
    /// The first that was read: what changed before is not known.
    first: Option<i64>,
    /// After which change something was last different about an account.
    changed: HashMap<AccountId, i64>,
    /// The same of parts of its bearer tokens.
    changed_tokens: HashMap<(AccountId, u8), i64>,
    /// Rows that were proved, with the digest that proved them and their table.
    proved: HashMap<Vec<u8>, (Digest, HashMap<RowMac, &'static str>)>,
    rows: usize,
    /// No state with fewer changes is one of now.
    floor: i64,
}

/// What is remembered.
pub(in crate::store) struct Known {
    rights: RwLock<Rights>,
    parts: Mutex<HashMap<u8, PartState>>,
    /// Whose turn it is to change a part.
    turns: [Mutex<()>; 256],
    /// When a part, or another row, last stood otherwise than it was known.
    missed: Mutex<Option<Instant>>,
    quarantine: RwLock<Quarantine>,
    /// The secrets of each part, where reads of them are exact.
    exact: Option<Mutex<HashMap<u8, Arc<ExactPart>>>>,
    /// When the last complete pass over the secrets ended, or this memory began.
    passed: Mutex<Instant>,
    marks: Marks,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            rights: RwLock::default(),
            parts: Mutex::default(),
            turns: [const { Mutex::new(()) }; 256],
            missed: Mutex::default(),
            quarantine: RwLock::default(),
            exact: None,
            passed: Mutex::new(Instant::now()),
            marks: Marks::default(),
        }
    }
}

/// The secrets of a part, as its digest has proved them.
pub(in crate::store) struct ExactPart {
    /// The MAC of the digest's row.
    pub(in crate::store) digest: Option<RowMac>,
    /// The MAC of each secret's row.
    pub(in crate::store) secrets: HashMap<SecretId, RowMac>,
}

/// What was found and is not served.
#[derive(Debug, Default)]
struct Quarantine {
    /// Parts that were put back under this node.
    put_back: HashSet<u8>,
    /// Parts whose secrets do not fit their digest, and nobody can say which.
    parts: HashSet<u8>,
    /// Secrets that do not fit.
    secrets: HashSet<SecretId>,
}

impl Known {
    /// One that also remembers every secret, where reads of them are to be exact.
    pub(in crate::store) fn new(exact: bool) -> Self {
        Self { exact: exact.then(Mutex::default), ..Self::default() }
    }

    /// Whether reads of secrets are exact.
    pub(in crate::store) fn is_exact(&self) -> bool {
        self.exact.is_some()
    }

    /// The secrets of a part, as they were last proved.
    pub(in crate::store) fn exact_part(&self, part: u8) -> Option<Arc<ExactPart>> {
        self.exact.as_ref()?.lock().get(&part).cloned()
    }

    /// Remembers the secrets of a part.
    pub(in crate::store) fn set_exact_part(&self, part: u8, secrets: Arc<ExactPart>) {
        if let Some(exact) = &self.exact {
            exact.lock().insert(part, secrets);
        }
    }

    /// The digests that were read last, if there were any.
    pub(in crate::store) fn scopes(&self) -> Arc<Scopes> {
        Arc::clone(&self.rights.read().scopes)
    }

    /// How many changes there have been at least.
    pub(in crate::store) fn floor(&self) -> i64 {
        self.rights.read().floor
    }

    /// Says that so many changes are in the database.
    pub(in crate::store) fn raise_floor(&self, seq: i64) {
        let mut rights = self.rights.write();
        rights.floor = rights.floor.max(seq);
    }

    /// Takes over digests that were read, and notes which accounts they are different about.
    pub(in crate::store) fn learn(&self, scopes: Arc<Scopes>, read_at: Instant) {
        let mut rights = self.rights.write();
        if rights.first.is_some() && scopes.seq < rights.scopes.seq {
            return;
        }
        if rights.first.is_none() {
            rights.first = Some(scopes.seq);
        } else if scopes.root != rights.scopes.root {
            let old = Arc::clone(&rights.scopes);
            for key in old.digests.differing(&scopes.digests) {
                match Scope::of(key) {
                    Some(Scope::Tokens(account, part)) => drop(rights.changed_tokens.insert((account, part), scopes.seq)),
                    Some(Scope::Key(_)) | None => {}
                    Some(Scope::Account(account) | Scope::Policies(account) | Scope::User(account, _)) => {
                        rights.changed.insert(account, scopes.seq);
                    }
                }
            }
        }
        rights.floor = rights.floor.max(scopes.seq);
        rights.read_at = rights.read_at.max(Some(read_at));
        rights.scopes = scopes;
    }

    /// What is different since a number of changes; none where that is not known.
    pub(in crate::store) fn changed_since(&self, seq: i64) -> Option<Changed> {
        let rights = self.rights.read();
        if rights.first.is_none_or(|first| first > seq) {
            return None;
        }
        let accounts = rights.changed.iter().filter(|(_, at)| **at > seq).map(|(account, _)| account.clone());
        let tokens = rights.changed_tokens.iter().filter(|(_, at)| **at > seq).map(|(part, _)| part.clone());
        Some(Changed { accounts: accounts.collect(), tokens: tokens.collect() })
    }

    /// Whether these are rows of a scope that were proved, and it is young enough; with a table, whether they are all of it there.
    pub(in crate::store) fn has_proved(&self, scope: &[u8], macs: &[RowMac], all_of: Option<&str>) -> bool {
        let rights = self.rights.read();
        // What this node has changed itself counts at once.
        if rights.read_at.is_none_or(|at| at.elapsed() > YOUNG) || rights.scopes.seq < rights.floor {
            return false;
        }
        let Some((digest, rows)) = rights.proved.get(scope) else { return false };
        rights.scopes.digests.of(scope) == *digest
            && macs.iter().all(|mac| rows.contains_key(mac))
            && all_of.is_none_or(|table| rows.values().filter(|found| **found == table).count() == macs.len())
    }

    /// Remembers the rows of a scope, which a digest has proved.
    pub(in crate::store) fn remember(&self, scope: Vec<u8>, digest: Digest, rows: HashMap<RowMac, &'static str>) {
        let mut rights = self.rights.write();
        if rights.rows + rows.len() > MOST_ROWS {
            rights.proved.clear();
            rights.rows = 0;
        }
        rights.rows += rows.len();
        if let Some((_, old)) = rights.proved.insert(scope, (digest, rows)) {
            rights.rows -= old.len();
        }
    }

    /// A part as it was last seen here.
    pub(in crate::store) fn part(&self, part: u8) -> Option<PartState> {
        self.parts.lock().get(&part).copied()
    }

    /// The turn to change a part, as the last thing of a write: what it is then known to be, it is, unless another node writes. None where
    /// the server takes so long with another's that this is not worth waiting for.
    pub(in crate::store) fn turn(&self, part: u8) -> Option<MutexGuard<'_, ()>> {
        self.turns[usize::from(part)].try_lock_for(TURN)
    }

    /// Notes that something was not as it is known here: others write too.
    pub(in crate::store) fn missed(&self) {
        *self.missed.lock() = Some(Instant::now());
    }

    /// Whether what is known here is likely to be so.
    pub(in crate::store) fn is_likely(&self) -> bool {
        self.missed.lock().is_none_or(|at| at.elapsed() > ALONE_AGAIN)
    }

    /// Notes a part that is in the database, unless a later state of it is known.
    pub(in crate::store) fn saw_part(&self, part: u8, state: PartState) {
        let mut parts = self.parts.lock();
        let known = parts.entry(part).or_insert(state);
        if known.seq < state.seq {
            *known = state;
        }
    }

    /// Whether a secret may be served.
    pub(in crate::store) fn is_quarantined(&self, secret: &SecretId) -> bool {
        let quarantine = self.quarantine.read();
        let part = part_of(secret);
        quarantine.put_back.contains(&part) || quarantine.parts.contains(&part) || quarantine.secrets.contains(secret)
    }

    /// Says what a look at a part has found: whether none of it is believed, and which secrets are not.
    pub(in crate::store) fn set_quarantine(&self, part: u8, all: bool, secrets: &[SecretId]) {
        let mut quarantine = self.quarantine.write();
        quarantine.secrets.retain(|secret| part_of(secret) != part);
        quarantine.secrets.extend(secrets);
        if all {
            quarantine.parts.insert(part);
        } else {
            quarantine.parts.remove(&part);
        }
    }

    /// The marks that this process has left.
    pub(in crate::store) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Notes that a complete pass ended now.
    pub(in crate::store) fn pass_done(&self) {
        *self.passed.lock() = Instant::now();
    }

    /// How long ago that was last.
    pub(in crate::store) fn pass_age(&self) -> Duration {
        self.passed.lock().elapsed()
    }

    /// How many secrets, and whole parts, are not served.
    pub(in crate::store) fn quarantined(&self) -> (usize, usize) {
        let quarantine = self.quarantine.read();
        (quarantine.secrets.len(), quarantine.parts.union(&quarantine.put_back).count())
    }

    /// Says which parts stand earlier than this node has seen them; they are not served until a look finds that they do not.
    pub(in crate::store) fn set_put_back(&self, parts: &[u8]) {
        self.quarantine.write().put_back = parts.iter().copied().collect();
    }

    /// The parts in which a comparison has found something that is not served.
    pub(in crate::store) fn quarantined_parts(&self) -> Vec<u8> {
        let quarantine = self.quarantine.read();
        let parts: BTreeSet<u8> = quarantine.parts.iter().copied().chain(quarantine.secrets.iter().map(part_of)).collect();
        parts.into_iter().collect()
    }
}
