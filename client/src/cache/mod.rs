//! Values kept for a while, so that a program asks the server once a minute and not each time, and goes on while the server is away.
//!
//! What is served, by the age of a value:
//!
//! | age | what happens |
//! |---|---|
//! | up to the TTL (60 s) | it is served from memory |
//! | up to the TTL and the time beyond it (1 h) | the server is asked; where that does not answer, the old value serves. One caller waits, the others get the old one at once; after a failure nobody waits for 1 s, then 2 s, up to 30 s |
//! | above | it is wiped |
//!
//! A thread of the cache reads what is in use before its time is over, all of it by BatchGetSecretValue: a caller waits at the first use, and
//! after a pause that was longer than the TTL. A value that the server refuses to this caller (deleted, no permission, access key disabled)
//! is dropped at once: only a server that is away, busy or faulty has an old value served in its place. (A time that is wrong counts as
//! fault.)
//!
//! What does not fit is dropped, that which was not used for longest first. Values are wiped when the last who holds one lets it go, and
//! nothing is written to a disk.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use bulla_client::{AccessKey, Cache, Client, Selector};
//!
//! # fn main() -> Result<(), bulla_client::Error> {
//! let client = Client::builder("https://kms.example:8443").access_key(AccessKey::new("BLLA…", "secret")).build()?;
//! let cache = Cache::builder(client).ttl(Duration::from_secs(30)).build();
//! let value = cache.secret_value("app/db", &Selector::Current)?;
//! if !connects_with(value.data.expose()) {
//!     // The password was changed a moment ago.
//!     connects_with(cache.read_anew("app/db", &Selector::Current)?.data.expose());
//! }
//! # Ok(())
//! # }
//! # fn connects_with(_: &[u8]) -> bool { true }
//! ```

mod table;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::error::Error;
use crate::secrets::{SecretValue, Selector};
use table::{Found, Key, Limits, Table};

/// How many times in a TTL the thread looks what has to be read.
const LOOKS: u32 = 8;

/// How often it looks at most and at least.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);
const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// Values of one server, kept for a while. To be shared by threads as it is.
pub struct Cache {
    shared: Arc<Shared>,
}

/// How a cache is to be. Made by [`Cache::builder`].
pub struct Builder {
    client: Arc<Client>,
    limits: Limits,
    background: bool,
}

struct Shared {
    client: Arc<Client>,
    limits: Limits,
    state: Mutex<State>,
    stop: Condvar,
}

struct State {
    table: Table,
    /// Why the server did not answer the last question.
    failure: Option<String>,
    stopped: bool,
}

impl Builder {
    /// How long a value is served without a question; 60 s where nothing is said.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.limits.ttl = ttl;
        self
    }

    /// How much longer it is served while the server does not answer; 1 h where nothing is said, zero for never.
    pub fn serve_stale(mut self, longer: Duration) -> Self {
        self.limits.stale = longer;
        self
    }

    /// How many values are kept; 1,000 where nothing is said.
    pub fn capacity(mut self, values: usize) -> Self {
        self.limits.capacity = values;
        self
    }

    /// Whether a thread reads what is in use before its time is over (it does where nothing is said), or whoever uses it afterwards.
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// Begins, with nothing kept.
    pub fn build(self) -> Cache {
        let state = State { table: Table::new(), failure: None, stopped: false };
        let shared = Shared { client: self.client, limits: self.limits, state: Mutex::new(state), stop: Condvar::new() };
        let shared = Arc::new(shared);
        if self.background {
            let of_thread = Arc::clone(&shared);
            // Without a thread values are read at use.
            let _ = thread::Builder::new().name("bulla-cache".to_owned()).spawn(move || of_thread.keep_fresh());
        }
        Cache { shared }
    }
}

impl Cache {
    /// A cache before this client, in the making.
    pub fn builder(client: impl Into<Arc<Client>>) -> Builder {
        let limits = Limits { ttl: Duration::from_secs(60), stale: Duration::from_secs(3600), capacity: 1000 };
        Builder { client: client.into(), limits, background: true }
    }

    /// The value of a secret, from memory or from the server, as the table above says.
    ///
    /// # Errors
    /// As [`Client::secret_value`], where there is no value to serve in its place. Errors are not kept.
    pub fn secret_value(&self, name: &str, which: &Selector) -> Result<Arc<SecretValue>, Error> {
        let key = (name.to_owned(), which.clone());
        let found = self.shared.state().table.find(&key, Instant::now(), &self.shared.limits);
        match found {
            Found::Value(value) => Ok(value),
            Found::Ask => self.shared.ask(&key).or_else(|error| {
                let old = self.shared.state().table.stale(&key, Instant::now(), &self.shared.limits);
                old.filter(|_| error.is_temporary()).ok_or(error)
            }),
        }
    }

    /// The value of a secret from the server, whatever is kept: for whom the kept one does not work any more.
    ///
    /// # Errors
    /// As [`Client::secret_value`]. What is kept stays where the server does not answer.
    pub fn read_anew(&self, name: &str, which: &Selector) -> Result<Arc<SecretValue>, Error> {
        self.shared.ask(&(name.to_owned(), which.clone()))
    }

    /// Drops a value.
    pub fn forget(&self, name: &str, which: &Selector) {
        self.shared.state().table.remove(&(name.to_owned(), which.clone()));
    }

    /// Drops all values.
    pub fn clear(&self) {
        self.shared.state().table.clear();
    }

    /// How many values are kept.
    pub fn len(&self) -> usize {
        self.shared.state().table.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Why the server did not answer the last question: while it is there, old values may be being served.
    pub fn failure(&self) -> Option<String> {
        self.shared.state().failure.clone()
    }
}

impl Drop for Cache {
    /// Wipes all that nobody holds, and ends the thread; not waiting for a question that is under way.
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.table.clear();
        state.stopped = true;
        self.shared.stop.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the table is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for one value, for who wants it now.
    fn ask(&self, key: &Key) -> Result<Arc<SecretValue>, Error> {
        let asked = Instant::now();
        let answer = self.client.secret_value(&key.0, &key.1);
        let mut state = self.state();
        match answer {
            Ok(value) => {
                state.failure = None;
                Ok(state.table.put(key.clone(), value, asked, true, &self.limits))
            }
            Err(error) if error.is_temporary() => {
                state.failure = Some(error.to_string());
                state.table.unanswered([key], Instant::now());
                Err(error)
            }
            Err(error) => {
                state.failure = None;
                state.table.refused(key, asked);
                Err(error)
            }
        }
    }

    /// Reads what is in use before it is too old, until the cache is dropped.
    fn keep_fresh(&self) {
        let pause = (self.limits.ttl / LOOKS).clamp(SHORTEST_LOOK, LONGEST_LOOK);
        let mut state = self.state();
        while !state.stopped {
            let now = Instant::now();
            state.table.sweep(now, &self.limits);
            let due = state.table.due(now, &self.limits);
            if !due.is_empty() {
                drop(state);
                self.refresh(&due);
                state = self.state();
            }
            if !state.stopped {
                state = self.stop.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn refresh(&self, due: &[Key]) {
        let asked = Instant::now();
        let answers = self.client.secret_values(due);
        let mut state = self.state();
        if state.stopped {
            return;
        }
        match answers {
            Ok(answers) => {
                state.failure = None;
                for (key, answer) in due.iter().zip(answers) {
                    match answer {
                        Ok(value) => {
                            state.table.put(key.clone(), value, asked, false, &self.limits);
                        }
                        Err(refused) if refused.is_temporary() => {
                            state.failure = Some(refused.to_string());
                            state.table.unanswered([key], Instant::now());
                        }
                        Err(_) => state.table.refused(key, asked),
                    }
                }
            }
            // Of the request as a whole, as of an access key that is disabled: each of them is refused.
            Err(error) if !error.is_temporary() => due.iter().for_each(|key| state.table.refused(key, asked)),
            Err(error) => {
                state.failure = Some(error.to_string());
                state.table.unanswered(due, Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests;
