//! Random lists of operations on keys, their versions and their aliases, beside a model that knows only the rules.
//!
//! The seed is printed when a list fails; `BULLA_MODEL_SEED` runs that list again, `BULLA_MODEL_OPERATIONS` sets its length.

use std::collections::BTreeMap;

use bulla_test_support::postgres::PostgresCluster;

use super::*;
use crate::error::{RejectedState, Unchanged};
use crate::store::KeyCondition;

/// Operations of one list.
const OPERATIONS: u64 = 20_000;

/// Keys that are not gone at most; the token makes some ten a second.
const LIVE: usize = 5;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Enabled,
    Disabled,
    Pending(i64),
    Gone,
}

/// A key as the rules see it. Times in ms.
#[derive(Debug)]
struct Expected {
    row: KeyRow,
    state: State,
    protected: bool,
    description: String,
    versions: Vec<i64>,
    /// Interval and due time.
    rotation: Option<(i64, i64)>,
}

impl Expected {
    fn gone(&self) -> bool {
        self.state == State::Gone
    }

    /// The answer to what needs the key to be Enabled.
    fn usable(&self) -> Result<(), Error> {
        match self.state {
            State::Enabled => Ok(()),
            State::Disabled => Err(Error::KeyState(RejectedState::Disabled)),
            State::Pending(_) => Err(Error::KeyState(RejectedState::PendingDeletion)),
            State::Gone => Err(Error::KeyNotFound),
        }
    }

    /// The answer to what needs the key not to be in its deletion window.
    fn editable(&self) -> Result<(), Error> {
        match self.state {
            State::Pending(_) | State::Gone => self.usable(),
            State::Enabled | State::Disabled => Ok(()),
        }
    }

    /// The answer to changes of the state, allowed in these.
    fn change(&self, allowed: bool) -> Result<(), Error> {
        match self.state {
            State::Gone => Err(Error::KeyNotFound),
            _ if allowed => Ok(()),
            State::Pending(_) => Err(Error::KeyStateChange(Unchanged::PendingDeletion)),
            State::Enabled | State::Disabled => Err(Error::KeyStateChange(Unchanged::NotPendingDeletion)),
        }
    }

    fn last(&self) -> i64 {
        *self.versions.last().expect("a key has a version")
    }

    fn add_version(&mut self, now: i64) {
        self.versions.push(now);
        self.rotation = self.rotation.map(|(interval, _)| (interval, now + interval));
    }
}

struct Model<'a> {
    bench: &'a Bench,
    random: Random,
    keys: Vec<Expected>,
    aliases: BTreeMap<String, usize>,
}

impl Model<'_> {
    fn now(&self) -> i64 {
        self.bench.now().0
    }

    fn step(&mut self) {
        if self.keys.is_empty() {
            return self.create();
        }
        // Mostly of the latest keys, now and then one that may long be gone.
        let recent = if self.random.below(10) == 0 { self.keys.len() } else { self.keys.len().min(LIVE + 2) };
        let index = self.keys.len() - 1 - self.random.below(recent as u64) as usize;
        let alias = format!("alias/{}", self.random.below(8));
        match self.random.below(100) {
            0 => self.create(),
            1..=2 => self.pass(),
            3..=4 => self.version_create(index),
            5..=12 => self.set_enabled(index, true),
            13..=20 => self.set_enabled(index, false),
            21..=22 => self.schedule(index),
            23..=32 => self.cancel(index),
            33..=38 => self.protect(index),
            39..=44 => self.describe_anew(index),
            45..=50 => self.set_rotation(index),
            51..=58 => self.alias_create(index, &alias),
            59..=66 => self.alias_update(index, &alias),
            67..=70 => self.alias_delete(&alias),
            71..=74 => self.lists(),
            _ => self.look(index),
        }
    }

    fn create(&mut self) {
        if self.keys.iter().filter(|k| !k.gone()).count() >= LIVE {
            return;
        }
        let row = self.bench.make();
        let versions = vec![self.now()];
        self.keys.push(Expected {
            row,
            state: State::Enabled,
            protected: false,
            description: String::new(),
            versions,
            rotation: None,
        });
    }

    /// Up to three days pass, then the jobs run.
    fn pass(&mut self) {
        self.bench.pass(self.random.below(3 * DAY_MS as u64) as i64);
        self.bench.keys.creations_sweep(self.bench.at()).expect("a sweep");
        self.bench.keys.rotations_sweep(self.bench.at(), 100).expect("a sweep");
        self.bench.keys.deletions_sweep(self.bench.at(), 100).expect("a sweep");
        let now = self.now();
        for (index, key) in self.keys.iter_mut().enumerate() {
            if key.state == State::Enabled && key.rotation.is_some_and(|(_, due)| due <= now) {
                key.add_version(now);
            }
            if matches!(key.state, State::Pending(at) if at <= now) {
                key.state = State::Gone;
                self.aliases.retain(|_, target| *target != index);
            }
        }
    }

    fn version_create(&mut self, index: usize) {
        let now = self.now();
        let key = &mut self.keys[index];
        let made = self.bench.keys.version_create(&self.bench.caller(), &by_id(&key.row));
        let expected = key.usable().and_then(|()| match () {
            () if key.versions.len() as i64 >= versions::MAX_VERSIONS => {
                Err(Error::LimitExceeded { most: versions::MAX_VERSIONS, of: "versions of a key" })
            }
            () if now < key.last() + 7 * DAY_MS => Err(Error::KeyVersionTooSoon),
            () => Ok(()),
        });
        assert_eq!(made.map(drop), expected);
        if expected.is_ok() {
            key.add_version(now);
        }
    }

    fn set_enabled(&mut self, index: usize, on: bool) {
        let key = &mut self.keys[index];
        let expected = key.change(matches!(key.state, State::Enabled | State::Disabled));
        assert_eq!(self.bench.keys.set_enabled(&self.bench.caller(), &by_id(&key.row), on), expected);
        if expected.is_ok() {
            key.state = if on { State::Enabled } else { State::Disabled };
        }
    }

    fn schedule(&mut self, index: usize) {
        let (now, days) = (self.now(), 7 + self.random.below(20) as u32);
        let key = &mut self.keys[index];
        let may = matches!(key.state, State::Enabled | State::Disabled);
        let expected = match may && key.protected {
            true => Err(Error::KeyStateChange(Unchanged::Protected)),
            false => key.change(may),
        };
        assert_eq!(self.bench.keys.schedule_deletion(&self.bench.caller(), &by_id(&key.row), days), expected);
        if expected.is_ok() {
            key.state = State::Pending(now + i64::from(days) * DAY_MS);
        }
    }

    fn cancel(&mut self, index: usize) {
        // Rarely enough for windows to end.
        if self.random.below(10) != 0 {
            return self.look(index);
        }
        let key = &mut self.keys[index];
        let expected = key.change(matches!(key.state, State::Pending(_)));
        assert_eq!(self.bench.keys.cancel_deletion(&self.bench.caller(), &by_id(&key.row)), expected);
        if expected.is_ok() {
            key.state = State::Enabled;
        }
    }

    fn protect(&mut self, index: usize) {
        let on = self.random.below(3) == 0;
        let key = &mut self.keys[index];
        let expected = key.editable();
        assert_eq!(self.bench.keys.set_deletion_protection(&self.bench.caller(), &by_id(&key.row), on, ""), expected);
        if expected.is_ok() {
            key.protected = on;
        }
    }

    fn describe_anew(&mut self, index: usize) {
        let text = format!("text {}", self.random.below(1000));
        let key = &mut self.keys[index];
        let expected = key.editable();
        assert_eq!(self.bench.keys.set_description(&self.bench.caller(), &by_id(&key.row), &text), expected);
        if expected.is_ok() {
            key.description = text;
        }
    }

    fn set_rotation(&mut self, index: usize) {
        let days = (self.random.below(3) > 0).then(|| 30 + self.random.below(300) as i64);
        let key = &mut self.keys[index];
        let expected = key.usable();
        let seconds = days.map(|d| d * 86_400);
        assert_eq!(self.bench.keys.set_rotation(&self.bench.caller(), &by_id(&key.row), seconds), expected);
        if expected.is_ok() {
            key.rotation = days.map(|d| (d * DAY_MS, key.last() + d * DAY_MS));
        }
    }

    fn alias_create(&mut self, index: usize, name: &str) {
        let key = &self.keys[index];
        let alias = name.parse().expect("an alias");
        let expected = match key.state {
            State::Gone => Err(Error::KeyNotFound),
            State::Pending(_) => Err(Error::KeyStateChange(Unchanged::PendingDeletion)),
            _ if self.aliases.contains_key(name) => Err(Error::AliasExists),
            _ => Ok(()),
        };
        assert_eq!(self.bench.keys.alias_create(&self.bench.caller(), &alias, &by_id(&key.row)), expected);
        if expected.is_ok() {
            self.aliases.insert(name.to_owned(), index);
        }
    }

    fn alias_update(&mut self, index: usize, name: &str) {
        let key = &self.keys[index];
        let alias = name.parse().expect("an alias");
        let expected = match key.state {
            State::Gone => Err(Error::KeyNotFound),
            _ if !self.aliases.contains_key(name) => Err(Error::AliasNotFound),
            _ => key.editable(),
        };
        let from = self.aliases.get(name).map_or(key.row.id, |index| self.keys[*index].row.id);
        assert_eq!(self.bench.keys.alias_update(&self.bench.caller(), &alias, &from, &by_id(&key.row)), expected);
        if expected.is_ok() {
            self.aliases.insert(name.to_owned(), index);
        }
    }

    fn alias_delete(&mut self, name: &str) {
        let alias = name.parse().expect("an alias");
        let there = self.aliases.remove(name);
        let expected = if there.is_some() { Ok(()) } else { Err(Error::AliasNotFound) };
        let from = there.map_or_else(KeyId::new, |index| self.keys[index].row.id);
        assert_eq!(self.bench.keys.alias_delete(&self.bench.caller(), &alias, &from), expected);
    }

    /// Everything that can be seen of one key.
    fn look(&self, index: usize) {
        let key = &self.keys[index];
        let (caller, id) = (self.bench.caller(), by_id(&key.row));
        let described = match self.bench.keys.describe(&caller, &id) {
            Ok(described) => described,
            Err(error) => return assert_eq!((error, key.state), (Error::KeyNotFound, State::Gone)),
        };
        let (state, delete_at) = match key.state {
            State::Enabled => (KeyState::Enabled, None),
            State::Disabled => (KeyState::Disabled, None),
            State::Pending(at) => (KeyState::PendingDeletion, Some(Timestamp(at))),
            State::Gone => panic!("key {index} is gone and is found"),
        };
        let row = described.key;
        let seen = (row.state, row.delete_at, row.deletion_protection.is_some(), row.description.as_str());
        assert_eq!(seen, (state, delete_at, key.protected, key.description.as_str()));
        assert_eq!(described.rotated_at, Timestamp(key.last()));
        let rotation = described.rotation.map(|r| (r.interval_s.expect("an interval") * 1000, r.due_at.0));
        assert_eq!(rotation, key.rotation);
        let page = self.bench.keys.versions(&caller, &id, 0, 100).expect("a page");
        assert_eq!(page.versions.iter().map(|v| v.created_at.0).collect::<Vec<_>>(), key.versions);
        assert!(page.versions.iter().any(|v| v.id == row.primary_version && v.created_at.0 == key.last()));
        let names: Vec<String> =
            self.aliases.iter().filter(|(_, target)| **target == index).map(|(name, _)| name.clone()).collect();
        let aliases = self.bench.keys.aliases_of(&caller, &id, 0, 100).expect("a page").aliases;
        assert_eq!(aliases.iter().map(|a| a.name.to_string()).collect::<Vec<_>>(), names);
        let admitted = admit(&caller, &row, Use::GenerateDataKey).map(drop);
        assert_eq!(admitted, key.usable());
    }

    fn lists(&self) {
        let fitting = |fits: fn(&Expected) -> bool| -> Vec<KeyId> {
            self.keys.iter().filter(|key| fits(key)).map(|key| key.row.id).collect()
        };
        let listed = |conditions: &[KeyCondition]| -> Vec<KeyId> {
            let page = self.bench.keys.list(&self.bench.account, conditions, 0, 100).expect("a page");
            page.keys.iter().map(|key| key.id).collect()
        };
        let sorted = |mut ids: Vec<KeyId>| {
            ids.sort();
            ids
        };
        assert_eq!(sorted(listed(&[])), sorted(fitting(|key| !key.gone())));
        let disabled = KeyCondition::State(vec!["Disabled".to_owned()], Timestamp(self.now()));
        assert_eq!(sorted(listed(&[disabled])), sorted(fitting(|key| key.state == State::Disabled)));
        let aliases = self.bench.keys.aliases(&self.bench.account, 0, 100).expect("a page");
        let names: Vec<String> = aliases.aliases.iter().map(|a| a.name.to_string()).collect();
        assert_eq!(names, self.aliases.keys().cloned().collect::<Vec<_>>());
        assert_eq!(aliases.total as usize, names.len());
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn run(home: &Path, url: &str) {
    let seed = variable("BULLA_MODEL_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    let operations = variable("BULLA_MODEL_OPERATIONS").unwrap_or(OPERATIONS);
    eprintln!("BULLA_MODEL_SEED={seed}");
    let bench = Bench::on(home, url, KeyLimits::default());
    let mut model = Model { bench: &bench, random: Random(seed), keys: Vec::new(), aliases: BTreeMap::new() };
    for _ in 0..operations {
        model.step();
    }
    (0..model.keys.len()).for_each(|index| model.look(index));
    model.lists();
    bench.fits();
    assert!(operations < OPERATIONS || model.keys.iter().filter(|key| key.gone()).count() >= 2, "too few keys ended");
}

#[test]
fn sqlite_keeps_to_the_model() {
    isolated(softhsm::prepare, |home| run(home, &format!("sqlite:{}", home.join("bulla.db").display())));
}

#[test]
fn postgresql_keeps_to_the_model() {
    isolated(softhsm::prepare, |home| run(home, &PostgresCluster::shared().database()));
}
