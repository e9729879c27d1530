//! Intents whose outcome is not in the log yet: what the database knows of them must stay there.
//!
//! Owns: which those are, from before a write begins until its outcome is durable. Must not know: how the database knows. Called by:
//! `Audit`, writer.
//!
//! A write's transaction leaves a mark, and an intent that nobody could close, as the process died or the database was away, is closed by
//! what the mark says. That a mark is not there says that the write did not happen only while nobody has taken it away.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::record::OpenIntent;
use crate::base::clock::Timestamp;
use crate::base::ids::RequestId;

/// When those writes began.
#[derive(Default)]
pub(super) struct Marks(Mutex<HashMap<RequestId, Timestamp>>);

impl Marks {
    /// Of intents that were found open, when they began is not asked: nothing is taken away before they are closed.
    pub(super) fn found(&self, intents: &[OpenIntent]) {
        self.0.lock().extend(intents.iter().map(|intent| (intent.request_id, Timestamp(0))));
    }

    pub(super) fn keep(&self, request: RequestId, began: Timestamp) {
        self.0.lock().insert(request, began);
    }

    pub(super) fn let_go(&self, request: RequestId) {
        self.0.lock().remove(&request);
    }

    /// Whether the mark of this request is there, if it ever was.
    pub(super) fn are_kept_of(&self, request: RequestId) -> bool {
        self.0.lock().contains_key(&request)
    }

    /// Until when marks are not needed any more: this, or when the first of those writes began.
    pub(super) fn unneeded_until(&self, until: Timestamp) -> Timestamp {
        self.0.lock().values().fold(until, |until, began| until.min(*began))
    }
}
