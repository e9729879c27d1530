//! How much callers may ask for.
//!
//! Owns: the bounds, and the budget of each account. Must not know: what is asked for. Called by: pipeline; app, which changes the
//! bounds.

use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::RwLock;

use crate::base::ids::AccountId;
use crate::error::Error;

/// Bounds on what callers may ask for; none is no bound.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests per second and account, with a burst of the same size.
    pub requests_per_second: Option<NonZeroU32>,
    /// Refusals of unknown callers that are recorded one by one, per second and address.
    pub refusals_per_second: NonZeroU32,
    /// With fewer bytes left for the audit log, none of them are.
    pub min_free_bytes: u64,
}

/// The budgets of all accounts under one bound.
type Budgets = Option<(NonZeroU32, DefaultKeyedRateLimiter<AccountId>)>;

/// The budgets of all accounts.
pub(super) struct Rates(RwLock<Budgets>);

impl Rates {
    /// So many requests a second for each account.
    pub(super) fn new(per_second: Option<NonZeroU32>) -> Self {
        Self(RwLock::new(budgets(per_second)))
    }

    /// Another bound from now on; what was spent under the same one stays spent.
    pub(super) fn limit(&self, per_second: Option<NonZeroU32>) {
        let mut budgets_now = self.0.write();
        if budgets_now.as_ref().map(|(bound, _)| *bound) != per_second {
            *budgets_now = budgets(per_second);
        }
    }

    /// Takes one request from an account's budget.
    ///
    /// # Errors
    /// [`Error::Throttled`].
    pub(super) fn take(&self, account: &AccountId) -> Result<(), Error> {
        match &*self.0.read() {
            Some((_, budgets)) if budgets.check_key(account).is_err() => Err(Error::Throttled),
            _ => Ok(()),
        }
    }
}

fn budgets(per_second: Option<NonZeroU32>) -> Budgets {
    per_second.map(|bound| (bound, RateLimiter::keyed(Quota::per_second(bound))))
}
