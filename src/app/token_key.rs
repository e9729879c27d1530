//! The key on the token that is made anew every hour, and that nothing uses: a copy of the database from before it names one that is
//! gone. So not even who puts database and every log back to one moment is believed for longer.
//!
//! Owns: making the next, and destroying the one before. Must not know: what else a start compares. Called by: app::base, app::server;
//! admin, for the first one.
//!
//! The row `anchors` names the key of now and the one before. `bulla init` makes the first, `bulla restore` the first of what it accepts. A key is made before the row names it and destroyed five minutes after the
//! row named its successor; a crash in between leaves an object that `bulla check` lists.

use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::base::clock_check::ClockCheck;
use crate::base::ids::{KeyVersionId, NodeId};
use crate::base::periodic::{Periodic, Rounds};
use crate::store::{AnchorsRow, Store, StoreError};
use crate::token::{ObjectKind, Token, TokenError};

/// Between two looks whether it is time.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// How long the one before stays, ms: a node that was just starting has read its name.
const KEPT_MS: i64 = 5 * 60_000;

/// The one node that does it holds its lease so long, ms.
const LEASE_MS: i64 = 60_000;

/// Makes the next such key, which nothing names yet.
///
/// # Errors
/// When the token is away, or its user may not.
pub fn make(token: &Token) -> Result<KeyVersionId, TokenError> {
    let id = KeyVersionId::new();
    token.create(&id, ObjectKind::Head).map(|()| id)
}

/// Whether the key that a database names is there no more.
///
/// # Errors
/// When the token is away.
pub(super) fn is_gone(token: &Token, anchors: &AnchorsRow) -> Result<bool, TokenError> {
    match token.prove_system_key(&anchors.key_id, ObjectKind::Head) {
        Ok(()) => Ok(false),
        Err(TokenError::NoSuchKey(_) | TokenError::Unsupported(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The thread that makes it anew.
pub(super) struct TokenKey {
    token: Arc<Token>,
    store: Arc<Store>,
    node: NodeId,
    clocks: Arc<ClockCheck>,
    /// How long a key lasts, ms.
    lasts_ms: i64,
}

impl TokenKey {
    pub(super) fn new(
        token: &Arc<Token>,
        store: &Arc<Store>,
        node: NodeId,
        clocks: &Arc<ClockCheck>,
        lasts_minutes: u32,
    ) -> Self {
        let (token, store, clocks) = (Arc::clone(token), Arc::clone(store), Arc::clone(clocks));
        Self { token, store, node, clocks, lasts_ms: i64::from(lasts_minutes) * 60_000 }
    }

    /// Goes on until what it answers is dropped.
    pub(super) fn start(self) -> std::io::Result<Periodic> {
        let mut told = false;
        Periodic::start("bulla-token-key", Rounds::AfterAPause, LOOK_EVERY, move |_| {
            let Ok(now) = self.clocks.proved() else { return };
            match self.turn(now) {
                Ok(()) => told = false,
                Err(reason) if !told => {
                    log::warn!("token: the key that is made anew every hour is as it was: {reason}");
                    told = true;
                }
                Err(_) => {}
            }
        })
    }

    /// Does what is due.
    fn turn(&self, now: Timestamp) -> Result<(), String> {
        let store = |error: StoreError| error.to_string();
        let old = self.store.read_rows("token_key", |tx| tx.anchors()).map_err(store)?;
        let over = old.key_since.plus_ms(self.lasts_ms) <= now;
        let left = old.previous_key.filter(|_| old.key_since.plus_ms(KEPT_MS) <= now);
        if left.is_none() && (!over || old.previous_key.is_some()) {
            return Ok(());
        }
        // Left to another node, or to a later turn: each attempt is refused alike, and may cost everybody a login.
        let may = if left.is_some() { self.token.destroys_keys() } else { self.token.makes_keys() };
        if !may {
            return Err("the token's user may not make or destroy it".to_owned());
        }
        let mine = self.store.write_rows("token_key", |tx| tx.lease_take("token_key", &self.node, now, now.plus_ms(LEASE_MS)));
        if !mine.map_err(store)? {
            return Ok(());
        }
        let new = match left {
            Some(id) => {
                self.destroy(&id)?;
                AnchorsRow { previous_key: None, ..old.clone() }
            }
            None => {
                let id = make(&self.token).map_err(|e| e.to_string())?;
                AnchorsRow { key_id: id, previous_key: Some(old.key_id), key_since: now, ..old.clone() }
            }
        };
        let put = self.store.write_rows("token_key", |tx| tx.anchors_put(&old, &new));
        // Nothing names what was just made, unless nobody knows whether it does.
        if let (Err(error), None) = (&put, left)
            && !matches!(error, StoreError::Unknown(_))
        {
            self.destroy(&new.key_id)?;
        }
        put.map_err(store)
    }

    /// Destroys one of these keys, and nothing else.
    fn destroy(&self, id: &KeyVersionId) -> Result<(), String> {
        match self.token.prove_system_key(id, ObjectKind::Head) {
            // Of whichever node: it was looked for until it was shown.
            Ok(()) => self.token.destroy_own(id).map_err(|e| e.to_string()),
            Err(TokenError::NoSuchKey(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}
