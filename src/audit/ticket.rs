//! What whoever hands a record over gets for it, and the writer's side of that.
//!
//! Owns: waiting for a record. Must not know: files. Called by: `Audit` (makes both), writer (keeps the promise), whoever submits.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use parking_lot::Mutex;

use super::AuditError;
use crate::base::threads::waiting;

/// What became of a record.
type Fate = Result<(), AuditError>;

/// A record on its way to the disk: wait for it, or say what is to follow it, before the effect or the answer.
#[must_use = "a record counts only when its ticket says that it is durable"]
pub struct Ticket(Waiting);

enum Waiting {
    For(Arc<Mutex<State>>),
    Refused(AuditError),
    Nothing,
}

/// Between ticket and promise.
enum State {
    Open,
    Followed(Box<dyn FnOnce(Fate) + Send>),
    Kept(Fate),
}

/// The writer's side of a ticket. Dropped without a word it says that the log is closed.
pub(super) struct Promise(Option<Arc<Mutex<State>>>);

/// A promise and its ticket.
pub(super) fn promise() -> (Promise, Ticket) {
    let state = Arc::new(Mutex::new(State::Open));
    (Promise(Some(Arc::clone(&state))), Ticket(Waiting::For(state)))
}

impl Ticket {
    /// For what is counted instead of recorded one by one: there is nothing to wait for.
    pub fn for_nothing() -> Self {
        Self(Waiting::Nothing)
    }

    /// For a record that is not taken.
    pub(super) fn refused(error: AuditError) -> Self {
        Self(Waiting::Refused(error))
    }

    /// Has this done when the record is durable, or known not to be: at once, or by the thread that writes, which must not be kept.
    /// With an error (`Full`, `Write` or `Closed`) the record is not in the log, and what it describes must not happen.
    pub fn then(self, follow: impl FnOnce(Result<(), AuditError>) + Send + 'static) {
        let fate = match self.0 {
            Waiting::Nothing => Ok(()),
            Waiting::Refused(error) => Err(error),
            Waiting::For(state) => {
                let mut state = state.lock();
                match std::mem::replace(&mut *state, State::Open) {
                    State::Kept(fate) => fate,
                    State::Open | State::Followed(_) => {
                        *state = State::Followed(Box::new(follow));
                        return;
                    }
                }
            }
        };
        follow(fate);
    }

    /// Blocks until then.
    ///
    /// # Errors
    /// As [`Ticket::then`] is told.
    pub fn wait(self) -> Result<(), AuditError> {
        let (say, hear) = sync_channel(1);
        // Nobody else has the other end.
        self.then(move |fate| _ = say.send(fate));
        match hear.try_recv() {
            Ok(fate) => fate,
            Err(_) => waiting(|| hear.recv()).unwrap_or(Err(AuditError::Closed)),
        }
    }
}

impl Promise {
    /// Tells whoever waits.
    pub(super) fn keep(mut self, fate: Fate) {
        self.settle(fate);
    }

    fn settle(&mut self, fate: Fate) {
        let Some(state) = self.0.take() else { return };
        let mut state = state.lock();
        if let State::Followed(follow) = std::mem::replace(&mut *state, State::Open) {
            drop(state);
            follow(fate);
        } else {
            *state = State::Kept(fate);
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.settle(Err(AuditError::Closed));
    }
}
