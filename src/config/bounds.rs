//! `[limits]`, `[quotas]`, `[keys]`: how much of what.

use std::num::NonZeroU32;

use serde::Deserialize;

/// `[limits]`; without limit where nothing is said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests per second and account.
    pub requests_per_second: Option<NonZeroU32>,
    /// Nonces that a node remembers.
    pub nonces: usize,
    /// Refusals of requests whose caller is unknown that are recorded one by one, per second and address; ten times as many at once.
    /// More are answered 429 and recorded by their number. All addresses together have ten times the bound of one, and so has loopback.
    pub refusals_per_second: NonZeroU32,
}

const REFUSALS_PER_SECOND: NonZeroU32 = NonZeroU32::new(200).expect("not zero");

impl Default for Limits {
    fn default() -> Self {
        Self { requests_per_second: None, nonces: 1_000_000, refusals_per_second: REFUSALS_PER_SECOND }
    }
}

/// `[quotas]`, per account but for `token_objects`; without limit where nothing is said here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// Master keys; 1,000 by default, as each takes room on the token that all share.
    pub keys: Option<u32>,
    /// Aliases.
    pub aliases: Option<u32>,
    /// Secrets.
    pub secrets: Option<u32>,
    /// Of the whole deployment: objects on the token, a pair counting as two.
    pub token_objects: Option<u32>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { keys: Some(1_000), aliases: None, secrets: None, token_objects: None }
    }
}

/// `[keys]`; the defaults are the highest values that are safe, and lower ones rotate keys more often.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// Encryptions under one version after which its key gets a new one; from 16 to 2^30.
    pub rotate_after_uses: u32,
    /// Encryptions under one version after which it encrypts no more; more than `rotate_after_uses`, at most 2^31.
    pub stop_after_uses: u32,
    /// How long, in hours, what is to be destroyed on the token waits for it; at most a year.
    pub quarantine_hours: u32,
    /// How long, in minutes, the key on the token lasts whose absence tells an old copy of the database; 0 for the first one for ever, as
    /// where the token lets nobody make keys any more.
    pub anchor_minutes: u32,
    /// Data keys of secrets that a node keeps in its memory after it has unwrapped them; 0, the default, for none. See docs/tokens.md
    /// for what it costs.
    pub data_key_cache_entries: usize,
    /// For how long, seconds; 60 at most.
    pub data_key_cache_seconds: u64,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            rotate_after_uses: 1 << 30,
            stop_after_uses: 1 << 31,
            quarantine_hours: 24,
            anchor_minutes: 60,
            data_key_cache_entries: 0,
            data_key_cache_seconds: 60,
        }
    }
}
