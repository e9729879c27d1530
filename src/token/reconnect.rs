//! How the token is opened, and opened again when it was lost.
//!
//! Owns: the pauses between attempts, the thread that reconnects. Must not know: what work is done. Called by: `operations`.
//!
//! A login that failed is not simply tried again, see `pin`: the thread then waits for another PIN, or for an operator.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::rand;

use super::config::TokenConfig;
use super::connection::{Connection, State};
use super::epoch::{Epoch, Lasting};
use super::errors::TokenError;
use super::module::Claim;
use super::pin::Pins;

/// Waits between attempts to connect: the first, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Before a PIN is presented a second time: another process may be writing the token's file (SoftHSM 2.6.1).
const SECOND_TRY: Duration = Duration::from_millis(400);

/// Between two looks for another PIN.
const LOOK_FOR_PIN: Duration = Duration::from_secs(1);

/// Loads the module and makes the first epoch. Where a PIN is awaited, waits for it.
///
/// # Errors
/// What the last attempt failed with.
pub(super) fn open(config: TokenConfig, pins: Pins) -> Result<Connection, TokenError> {
    let claim = Claim::take(&config.module)?;
    let lasting = Arc::new(Lasting::new(&config));
    let mut begun = Instant::now();
    let mut told = false;
    let mut said = String::new();
    // What the last login of this start failed with.
    let mut in_vain = None;
    // SoftHSM 2.6.1 rewrites the token's file in place when a process logs in, and one that starts at that moment sees no token,
    // or fails to log in with another code each time.
    let epoch = persist(
        || Epoch::connect(&claim, &config, &pins, &lasting, 1),
        |error, pause| {
            if pins.awaited() && is_about_pin(error) {
                if !told {
                    log::warn!("token: {error}; waiting for `bulla unlock`");
                    told = true;
                }
                while !pins.worth_a_try() {
                    pins.wait(LOOK_FOR_PIN);
                }
                begun = Instant::now();
                return true;
            }
            if let TokenError::LoginFailed(_) = error {
                in_vain = Some(error.clone());
            }
            // A login that failed has its second try however long the first took: who starts again in its place begins to count anew.
            let second = matches!(error, TokenError::LoginFailed(_));
            let again = second || begun.elapsed() < config.open_wait && !is_about_pin(error);
            if again {
                // The same again is no news.
                let reason = error.to_string();
                if reason != said {
                    log::info!("token: {reason}; trying again");
                    said = reason;
                }
                thread::sleep(pause);
            }
            again
        },
    );
    match epoch {
        Ok(epoch) => {
            pins.token_is_up(true);
            Ok(Connection::new(claim, config, pins, lasting, epoch))
        }
        Err(error) => {
            // Whatever came after it: the PIN may have been refused, and whoever starts again must know.
            let error = if is_about_pin(&error) || !pins.in_vain() { error } else { in_vain.unwrap_or(error) };
            pins.give_up(&error);
            Err(error)
        }
    }
}

/// Rebuilds the connection whenever it is lost, until it is stopped. Runs on a thread of its own.
pub(super) fn keep(connection: &Connection) {
    loop {
        {
            let mut state = connection.state.lock();
            while *state == State::Up {
                connection.changed.wait(&mut state);
            }
            if *state == State::Stopped {
                return;
            }
        }
        connection.pins.token_is_up(false);
        let mut current = connection.epoch.write();
        if current.take().is_some() {
            connection.claim.finalize();
        }
        let number = connection.epochs.load(Ordering::Relaxed) + 1;
        let connect = || Epoch::connect(&connection.claim, &connection.config, &connection.pins, &connection.lasting, number);
        let connected = persist(connect, |error, pause| {
            if is_about_pin(error) {
                log::error!("token: {error}");
                set(connection, State::Refused(error.clone()));
                return until_worth_a_try(connection);
            }
            log::warn!("token: not back yet: {error}");
            set(connection, State::Down);
            rest(connection, pause)
        });
        if let Ok(epoch) = connected {
            connection.epochs.store(number, Ordering::Relaxed);
            *current = Some(epoch);
            connection.pins.token_is_up(true);
            // Under the write half: whoever finds the new epoch lost must find the state Up.
            set(connection, State::Up);
        }
    }
}

/// Waits until the PIN may be presented again; false when it is time to stop.
fn until_worth_a_try(connection: &Connection) -> bool {
    while !connection.pins.worth_a_try() {
        if !rest(connection, LOOK_FOR_PIN) {
            return false;
        }
    }
    true
}

fn set(connection: &Connection, state: State) {
    let mut current = connection.state.lock();
    if *current != State::Stopped {
        *current = state;
        connection.changed.notify_all();
    }
}

/// Waits, unless it is time to stop; then false.
fn rest(connection: &Connection, pause: Duration) -> bool {
    let until = Instant::now() + pause;
    let mut state = connection.state.lock();
    while *state != State::Stopped {
        if connection.changed.wait_until(&mut state, until).timed_out() {
            break;
        }
    }
    *state != State::Stopped
}

/// Whether a failure is about the PIN, so that trying again does not help.
fn is_about_pin(error: &TokenError) -> bool {
    matches!(error, TokenError::Pin(_) | TokenError::PinHeld | TokenError::PinInDoubt(_) | TokenError::NoPin(_))
}

/// Connects, again and again with longer pauses, until that succeeds, or `wait` does not want to wait for the pause that it is given.
fn persist(
    mut connect: impl FnMut() -> Result<Epoch, TokenError>,
    mut wait: impl FnMut(&TokenError, Duration) -> bool,
) -> Result<Epoch, TokenError> {
    let (mut pause, longest) = BACK_OFF;
    loop {
        match connect() {
            Err(error) => {
                let second_try = matches!(&error, TokenError::LoginFailed(_));
                if !wait(&error, if second_try { pause.max(SECOND_TRY) } else { jittered(pause) }) {
                    return Err(error);
                }
                pause = (pause * 2).min(longest);
            }
            done => return done,
        }
    }
}

/// Between half of it and all of it, so that many nodes do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without a random byte the pause is just the whole one.
    let part = if rand::fill(&mut byte).is_ok() { u32::from(byte[0]) } else { 255 };
    pause / 2 + pause / 2 * part / 255
}
