//! The steps of a write, at each of which a test can let the process die as by kill -9, or the request panic.
//!
//! Owns: the list of steps, and the environment variable `BULLA_FAILPOINT=STEP:N` (die at the N-th time that the step is reached) or
//! `STEP:N:panic`.
//! In builds with debug assertions only: in a release build [`reach`] is empty and nothing reads the variable. Called by: whoever
//! carries out a step.

/// A step that is over when it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A batch of audit lines is written and not yet synced.
    AuditWritten,
    /// A batch of audit lines is durable, and nobody knows yet.
    AuditSynced,
    /// The next audit file is durable under its provisional name.
    AuditFileMade,
    /// The present audit file has its name among the closed ones; there is none in its place.
    AuditFileAside,
    /// The intent of a write is recorded.
    IntentRecorded,
    /// The rows of a key to be made are committed.
    KeyBegun,
    /// A new key is on the token, proved.
    KeyOnToken,
    /// The row of a wrapping pair to be made is committed.
    PairBegun,
    /// A new wrapping pair is there; its row does not say so yet.
    PairMade,
    /// The row of material says that it comes.
    MaterialClaimed,
    /// Imported material is on the token, proved.
    MaterialOnToken,
    /// Imported material is off the token; its row does not say so yet.
    MaterialOff,
    /// The deployment's row names the next row key.
    RekeyNamed,
    /// The next row key is on the token.
    RekeyMade,
    /// Everything is written under the next row key, not committed.
    RekeyWritten,
    /// The next row key is in use.
    RekeyCommitted,
    /// The row key of before is destroyed; the deployment's row names it yet.
    RekeyDestroyed,
    /// The nonce of a write is in its transaction.
    NonceWritten,
    /// The effect of a write is in its transaction, not committed.
    EffectWritten,
    /// The effect of a write is committed.
    Committed,
    /// The outcome of a request is recorded; the answer has not left.
    OutcomeRecorded,
}

impl Step {
    /// Every step.
    pub const ALL: [Step; 21] = [
        Step::AuditWritten,
        Step::AuditSynced,
        Step::AuditFileMade,
        Step::AuditFileAside,
        Step::IntentRecorded,
        Step::KeyBegun,
        Step::KeyOnToken,
        Step::PairBegun,
        Step::PairMade,
        Step::MaterialClaimed,
        Step::MaterialOnToken,
        Step::MaterialOff,
        Step::RekeyNamed,
        Step::RekeyMade,
        Step::RekeyWritten,
        Step::RekeyCommitted,
        Step::RekeyDestroyed,
        Step::NonceWritten,
        Step::EffectWritten,
        Step::Committed,
        Step::OutcomeRecorded,
    ];

    /// Those that only imports take.
    pub const OF_IMPORT: [Step; 5] =
        [Step::PairBegun, Step::PairMade, Step::MaterialClaimed, Step::MaterialOnToken, Step::MaterialOff];

    /// Those that only `bulla rekey` takes.
    pub const OF_REKEY: [Step; 5] =
        [Step::RekeyNamed, Step::RekeyMade, Step::RekeyWritten, Step::RekeyCommitted, Step::RekeyDestroyed];
}

/// Says that a step is over.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_: Step) {}

/// Says that a step is over; the process, or the request, may end here.
#[cfg(debug_assertions)]
pub fn reach(step: Step) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// The step to end at, how often it may still be reached, and whether the end is a panic.
    static ARMED: OnceLock<Option<(Step, AtomicI64, bool)>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| {
        let text = std::env::var("BULLA_FAILPOINT").ok()?;
        let (text, panics) = text.strip_suffix(":panic").map_or((text.as_str(), false), |text| (text, true));
        let (name, count) = text.split_once(':')?;
        let step = Step::ALL.into_iter().find(|step| format!("{step:?}") == name)?;
        Some((step, AtomicI64::new(count.parse().ok()?), panics))
    });
    if let Some((at, left, panics)) = armed
        && *at == step
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        assert!(!panics, "as BULLA_FAILPOINT asks for");
        // Fails for no process that may signal itself, and each may.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}
