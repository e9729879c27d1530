//! What a cache holds, and what follows from how old it is. Pure: the time is an argument.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::secrets::{SecretValue, Selector};

/// Which value: a secret's name and which version.
pub(super) type Key = (String, Selector);

/// The first wait after a question that the server did not answer; it doubles, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// While the server is away it is asked this often at least.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What follows from the age of a value.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Younger than this it is served without a question.
    pub(super) ttl: Duration,
    /// Older than `ttl` by up to this much it is served where the server does not answer.
    pub(super) stale: Duration,
    pub(super) capacity: usize,
}

pub(super) struct Table {
    entries: HashMap<Key, Entry>,
    /// Counts uses: the entry with the lowest count is the one that was not used for longest.
    uses: u64,
    away: Option<Away>,
}

struct Entry {
    value: Arc<SecretValue>,
    /// When the question began that this answers.
    read: Instant,
    last_use: u64,
    /// Whether somebody used it since it was read: what nobody uses is not read again.
    used: bool,
    /// Whether somebody is asking for it anew.
    asking: bool,
}

struct Away {
    until: Instant,
    pause: Duration,
}

/// What is to be done for who wants a value.
pub(super) enum Found {
    /// This is it.
    Value(Arc<SecretValue>),
    /// Ask the server.
    Ask,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { entries: HashMap::new(), uses: 0, away: None }
    }

    /// Somebody wants a value. Of many who want one that is too old, one is told to ask.
    pub(super) fn find(&mut self, key: &Key, now: Instant, limits: &Limits) -> Found {
        self.uses += 1;
        let away = self.away.as_ref().is_some_and(|away| now < away.until);
        let Some(entry) = self.entries.get_mut(key) else { return Found::Ask };
        entry.last_use = self.uses;
        entry.used = true;
        let age = now.saturating_duration_since(entry.read);
        if age < limits.ttl || age < limits.ttl + limits.stale && (away || entry.asking) {
            return Found::Value(Arc::clone(&entry.value));
        }
        entry.asking = true;
        Found::Ask
    }

    /// The values to be read before they are too old, since they are in use: those beyond three quarters of their time.
    pub(super) fn due(&self, now: Instant, limits: &Limits) -> Vec<Key> {
        if self.away.as_ref().is_some_and(|away| now < away.until) {
            return Vec::new();
        }
        let due = |entry: &Entry| entry.used && now.saturating_duration_since(entry.read) >= limits.ttl * 3 / 4;
        self.entries.iter().filter(|(_, entry)| due(entry)).map(|(key, _)| key.clone()).collect()
    }

    /// The server gave a value. Of two answers the one to the later question stays.
    pub(super) fn put(
        &mut self,
        key: Key,
        value: SecretValue,
        asked: Instant,
        used: bool,
        limits: &Limits,
    ) -> Arc<SecretValue> {
        self.away = None;
        let value = Arc::new(value);
        if limits.capacity == 0 {
            return value;
        }
        if !self.entries.contains_key(&key) && self.entries.len() >= limits.capacity {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.last_use).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.entries.remove(&key));
        }
        let uses = self.uses;
        let fresh = || Entry { value: Arc::clone(&value), read: asked, last_use: uses, used, asking: false };
        let entry = self.entries.entry(key).or_insert_with(fresh);
        if entry.read < asked {
            let last_use = if used { uses } else { entry.last_use };
            *entry = Entry { last_use, ..fresh() };
        }
        entry.asking = false;
        Arc::clone(&entry.value)
    }

    /// The server says that there is no such value for this caller: what is older than the question is gone.
    pub(super) fn refused(&mut self, key: &Key, asked: Instant) {
        self.away = None;
        if self.entries.get(key).is_some_and(|entry| entry.read <= asked) {
            self.entries.remove(key);
        }
    }

    /// The server gave no answer to these.
    pub(super) fn unanswered<'k>(&mut self, keys: impl IntoIterator<Item = &'k Key>, now: Instant) {
        // Several who asked at a time are one absence.
        if self.away.as_ref().is_none_or(|away| now >= away.until) {
            let pause = self.away.as_ref().map_or(FIRST_PAUSE, |away| (away.pause * 2).min(LONGEST_PAUSE));
            self.away = Some(Away { until: now + pause, pause });
        }
        for key in keys {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.asking = false;
            }
        }
    }

    /// The value that may stand in for an answer that did not come.
    pub(super) fn stale(&self, key: &Key, now: Instant, limits: &Limits) -> Option<Arc<SecretValue>> {
        let entry = self.entries.get(key)?;
        let usable = now.saturating_duration_since(entry.read) < limits.ttl + limits.stale;
        usable.then(|| Arc::clone(&entry.value))
    }

    /// Drops what nobody may be given any more, so that it is wiped.
    pub(super) fn sweep(&mut self, now: Instant, limits: &Limits) {
        self.entries.retain(|_, entry| now.saturating_duration_since(entry.read) < limits.ttl + limits.stale);
    }

    pub(super) fn remove(&mut self, key: &Key) {
        self.entries.remove(key);
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Value;

    const LIMITS: Limits = Limits { ttl: Duration::from_secs(60), stale: Duration::from_secs(600), capacity: 2 };

    fn key(name: &str) -> Key {
        (name.to_owned(), Selector::Current)
    }

    fn value(version: &str) -> SecretValue {
        SecretValue {
            name: "n".to_owned(),
            version: version.to_owned(),
            stages: Vec::new(),
            data: Value::new(b"v".to_vec()),
            binary: false,
            created: String::new(),
        }
    }

    fn version(found: Found) -> Option<String> {
        match found {
            Found::Value(value) => Some(value.version.clone()),
            Found::Ask => None,
        }
    }

    fn at(begin: Instant, seconds: u64) -> Instant {
        begin + Duration::from_secs(seconds)
    }

    #[test]
    fn a_value_lives_for_its_time_and_one_asks_anew() {
        let (mut table, begin) = (Table::new(), Instant::now());
        assert_eq!(version(table.find(&key("a"), begin, &LIMITS)), None);
        table.put(key("a"), value("1"), begin, true, &LIMITS);
        assert_eq!(version(table.find(&key("a"), at(begin, 59), &LIMITS)).as_deref(), Some("1"));
        assert_eq!(version(table.find(&key("a"), at(begin, 60), &LIMITS)), None, "one asks");
        assert_eq!(version(table.find(&key("a"), at(begin, 60), &LIMITS)).as_deref(), Some("1"), "the others do not wait");
        table.put(key("a"), value("2"), at(begin, 60), true, &LIMITS);
        assert_eq!(version(table.find(&key("a"), at(begin, 100), &LIMITS)).as_deref(), Some("2"));
        table.put(key("a"), value("late"), at(begin, 50), true, &LIMITS);
        assert_eq!(version(table.find(&key("a"), at(begin, 100), &LIMITS)).as_deref(), Some("2"), "the later question counts");
    }

    #[test]
    fn while_the_server_is_away_the_old_value_serves_for_a_bounded_time() {
        let (mut table, begin) = (Table::new(), Instant::now());
        table.put(key("a"), value("1"), begin, true, &LIMITS);
        assert_eq!(version(table.find(&key("a"), at(begin, 70), &LIMITS)), None);
        table.unanswered([&key("a")], at(begin, 70));
        assert!(table.stale(&key("a"), at(begin, 70), &LIMITS).is_some());
        // Nobody waits for the server again within the pause, which doubles.
        assert!(version(table.find(&key("a"), at(begin, 70), &LIMITS)).is_some());
        for (now, pause) in [(71, 2), (73, 4), (77, 8), (85, 16), (101, 30), (131, 30)] {
            assert_eq!(version(table.find(&key("a"), at(begin, now), &LIMITS)), None, "at {now}");
            table.unanswered([&key("a")], at(begin, now));
            assert!(table.due(at(begin, now + pause - 1), &LIMITS).is_empty());
            assert!(version(table.find(&key("a"), at(begin, now + pause - 1), &LIMITS)).is_some());
        }
        assert!(table.stale(&key("a"), at(begin, 659), &LIMITS).is_some());
        assert!(table.stale(&key("a"), at(begin, 660), &LIMITS).is_none(), "the bound");
        table.sweep(at(begin, 659), &LIMITS);
        assert_eq!(table.len(), 1);
        table.sweep(at(begin, 660), &LIMITS);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn what_is_refused_is_gone_unless_it_was_read_later() {
        let (mut table, begin) = (Table::new(), Instant::now());
        table.put(key("a"), value("2"), at(begin, 10), true, &LIMITS);
        table.refused(&key("a"), at(begin, 5));
        assert_eq!(table.len(), 1);
        table.refused(&key("a"), at(begin, 11));
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn what_is_in_use_is_read_before_it_is_old_and_the_rest_makes_room() {
        let (mut table, begin) = (Table::new(), Instant::now());
        table.put(key("a"), value("1"), begin, true, &LIMITS);
        table.put(key("b"), value("1"), begin, false, &LIMITS);
        assert!(table.due(at(begin, 44), &LIMITS).is_empty());
        assert_eq!(table.due(at(begin, 45), &LIMITS), [key("a")]);
        // Read again by the refresh, and not used since.
        table.put(key("a"), value("2"), at(begin, 45), false, &LIMITS);
        assert!(table.due(at(begin, 100), &LIMITS).is_empty());
        assert!(version(table.find(&key("a"), at(begin, 50), &LIMITS)).is_some());
        assert_eq!(table.due(at(begin, 100), &LIMITS), [key("a")]);
        table.put(key("c"), value("1"), at(begin, 50), true, &LIMITS);
        assert_eq!(table.len(), 2);
        assert!(version(table.find(&key("a"), at(begin, 50), &LIMITS)).is_some());
        assert_eq!(version(table.find(&key("b"), at(begin, 50), &LIMITS)), None, "it was not used for longest");
    }
}
