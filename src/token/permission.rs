//! Whether the token lets its user make and destroy keys, as far as the last attempts told.
//!
//! Owns: the memory of a refusal, so that it is met once and not at every turn. Must not know: what was to be made, or who asked.
//! Called by: `concessions`, which then searches no template; `connection`, which takes note; `operations`, for those whose work it is.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::errors::TokenError;

/// How long a refusal is taken for what the next attempt would meet.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// After a re-initialisation in vain, so many times the wait between two others go by before the next, and then twice as many.
const VAIN: u32 = 300;

/// The wait is not doubled more often than this.
const DOUBLED: u32 = 7;

/// What is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Make,
    Destroy,
}

/// What is remembered.
#[derive(Default)]
pub(super) struct Permission {
    refused: Mutex<[Option<(Instant, TokenError)>; 2]>,
    /// Re-initialisations since the token last kept a key, and when the last was.
    renewals: Mutex<Option<(u32, Instant)>>,
}

impl Permission {
    /// The change was made.
    pub(super) fn given(&self, change: Change) {
        self.refused.lock()[change as usize] = None;
        if change == Change::Make {
            *self.renewals.lock() = None;
        }
    }

    /// An attempt failed; takes note if it was refused.
    pub(super) fn failed(&self, error: &TokenError) {
        let change = match error {
            TokenError::MayNotMake(_) | TokenError::KeepsNothing(_) => Change::Make,
            TokenError::MayNotDestroy(_) => Change::Destroy,
            _ => return,
        };
        let before = self.refused.lock()[change as usize].replace((Instant::now(), error.clone()));
        if before.is_none() {
            log::error!("token: {error}; what needs that is left to other nodes, and tried again after ten minutes");
        }
    }

    /// Whether the last attempt was not refused.
    pub(super) fn is_given(&self, change: Change) -> bool {
        self.refused.lock()[change as usize].is_none()
    }

    /// The last attempt's refusal, if the next would meet the same.
    pub(super) fn refusal(&self, change: Change) -> Option<TokenError> {
        let refused = self.refused.lock()[change as usize].clone();
        refused.filter(|(at, _)| at.elapsed() < REMEMBERED).map(|(_, error)| error)
    }

    /// Whether the module is initialised anew since the token keeps nothing: once, and then at ever longer intervals, since that is a
    /// login and a moment's wait for everybody. `least` is the wait between two re-initialisations for whatever reason.
    pub(super) fn worth_a_renewal(&self, least: Duration) -> bool {
        let renewals = *self.renewals.lock();
        renewals.is_none_or(|(times, at)| at.elapsed() >= least * VAIN * 2u32.pow((times - 1).min(DOUBLED)))
    }

    /// It was initialised anew.
    pub(super) fn renewed(&self) {
        let mut renewals = self.renewals.lock();
        let times = renewals.map_or(0, |(times, _)| times);
        *renewals = Some((times + 1, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_remembered_until_the_change_is_made() {
        let permission = Permission::default();
        let refusal = TokenError::MayNotMake("C_GenerateKey: CKR_FUNCTION_REJECTED".to_owned());
        permission.failed(&TokenError::Busy);
        assert!(permission.is_given(Change::Make));
        permission.failed(&refusal);
        assert_eq!(permission.refusal(Change::Make), Some(refusal));
        assert!(permission.is_given(Change::Destroy));
        permission.given(Change::Make);
        assert_eq!((permission.refusal(Change::Make), permission.is_given(Change::Make)), (None, true));
    }

    #[test]
    fn a_token_that_keeps_nothing_is_not_initialised_anew_at_every_turn() {
        let permission = Permission::default();
        let least = Duration::from_secs(2);
        assert!(permission.worth_a_renewal(least));
        for _ in 0..40 {
            permission.renewed();
            assert!(!permission.worth_a_renewal(least));
        }
        permission.given(Change::Make);
        assert!(permission.worth_a_renewal(least));
    }
}
