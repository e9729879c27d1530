//! What a journal knows of one secret, and what the service shows of it.
//!
//! Owns: which writes a state allows and the state that each of them makes; the comparison with what is read. Must not know: which
//! writes were acknowledged. Called by: the journal.
//!
//! Each write changes several rows (a version, labels, tags), so a write that is half there is seen as a state that is no state.

use std::collections::BTreeMap;
use std::io;

use fastrand::Rng;

use super::refused_for_now;
use crate::client::Client;

/// Versions of a secret at most: all of them are read back. Ten may be; the tests of versions know what happens then.
const VERSIONS: usize = 3;
/// Keys of tags.
const TAGS: [&str; 3] = ["a", "b", "c"];
const CURRENT: &str = "ACSCurrent";
const PREVIOUS: &str = "ACSPrevious";
/// A label of a writer's own.
const OWN: &str = "blue";

/// What stands under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Secret {
    Absent,
    Live(Content),
    /// In its deletion window; what it will be when restored.
    Deleted(Content),
}

/// All that is in a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Content {
    /// Values by version.
    values: BTreeMap<String, String>,
    /// Versions by label.
    labels: BTreeMap<&'static str, String>,
    tags: BTreeMap<&'static str, String>,
}

/// A write, and what is there when it was done.
pub(super) struct Write {
    pub(super) action: &'static str,
    /// Beside the name.
    pub(super) parameters: Vec<(&'static str, String)>,
    pub(super) after: Secret,
}

impl Secret {
    /// A write that fits this state, with new values.
    pub(super) fn next(&self, random: &mut Rng) -> Write {
        let (action, parameters, after) = match self {
            Secret::Absent => {
                let mut content = Content::default();
                let mut parameters = content.add_version(random, &[CURRENT]);
                parameters.push(("Tags", content.set_tags(random)));
                ("CreateSecret", parameters, Secret::Live(content))
            }
            Secret::Deleted(content) => ("RestoreSecret", vec![], Secret::Live(content.clone())),
            Secret::Live(content) => match random.u8(..10) {
                0 | 1 => {
                    let window = ("RecoveryWindowInDays", "7".to_owned());
                    ("DeleteSecret", vec![window], Secret::Deleted(content.clone()))
                }
                2 | 3 => ("DeleteSecret", vec![("ForceDeleteWithoutRecovery", "true".to_owned())], Secret::Absent),
                kind => {
                    let mut content = content.clone();
                    let (action, parameters) = content.change(kind, random);
                    (action, parameters, Secret::Live(content))
                }
            },
        };
        Write { action, parameters, after }
    }

    /// Whether this is what was seen.
    pub(super) fn is(&self, seen: &Seen) -> bool {
        match (self, seen) {
            (Secret::Absent, Seen::Absent) => true,
            (Secret::Live(content), Seen::Live { shown, values }) => content.is_shown(shown) && content.values == *values,
            (Secret::Deleted(content), Seen::Deleted(shown)) => content.is_shown(shown),
            _ => false,
        }
    }
}

impl Content {
    fn change(&mut self, kind: u8, random: &mut Rng) -> (&'static str, Vec<(&'static str, String)>) {
        match kind {
            4..=6 if self.values.len() < VERSIONS => {
                let labels: &[&'static str] = if random.bool() { &[CURRENT] } else { &[CURRENT, OWN] };
                let mut parameters = self.add_version(random, labels);
                parameters.push(("VersionStages", serde_json::json!(labels).to_string()));
                ("PutSecretValue", parameters)
            }
            4..=7 => ("UpdateSecretVersionStage", self.move_label(random)),
            8 => ("TagResource", vec![("Tags", self.set_tags(random))]),
            _ => {
                let gone = [TAGS[random.usize(..TAGS.len())], TAGS[random.usize(..TAGS.len())]];
                self.tags.retain(|key, _| !gone.contains(key));
                ("UntagResource", vec![("TagKeys", serde_json::json!(gone).to_string())])
            }
        }
    }

    fn add_version(&mut self, random: &mut Rng, labels: &[&'static str]) -> Vec<(&'static str, String)> {
        let version = format!("v{}", self.values.len() + 1);
        let length = random.usize(1..600);
        let value: String = std::iter::repeat_with(|| random.alphanumeric()).take(length).collect();
        self.values.insert(version.clone(), value.clone());
        labels.iter().for_each(|label| self.stick(label, &version));
        vec![("VersionId", version), ("SecretData", value)]
    }

    fn move_label(&mut self, random: &mut Rng) -> Vec<(&'static str, String)> {
        let own = self.labels.get(OWN).cloned();
        if let Some(from) = own.filter(|_| random.u8(..3) == 0) {
            self.labels.remove(OWN);
            return vec![("VersionStage", OWN.to_owned()), ("RemoveFromVersion", from)];
        }
        let label = if random.bool() { CURRENT } else { OWN };
        let to = random.choice(self.values.keys()).expect("a secret has a version").clone();
        self.stick(label, &to);
        vec![("VersionStage", label.to_owned()), ("MoveToVersion", to)]
    }

    /// Where ACSCurrent leaves a version, ACSPrevious comes.
    fn stick(&mut self, label: &'static str, version: &str) {
        let left = self.labels.insert(label, version.to_owned());
        if let Some(left) = left.filter(|left| label == CURRENT && left != version) {
            self.labels.insert(PREVIOUS, left);
        }
    }

    /// Two tags at a time, so that one alone is half a write.
    fn set_tags(&mut self, random: &mut Rng) -> String {
        let value = random.u32(..).to_string();
        let first = random.usize(..TAGS.len());
        let keys = [TAGS[first], TAGS[(first + 1) % TAGS.len()]];
        keys.iter().for_each(|key| drop(self.tags.insert(key, value.clone())));
        serde_json::json!(keys.map(|key| serde_json::json!({ "TagKey": key, "TagValue": value }))).to_string()
    }

    fn is_shown(&self, shown: &Shown) -> bool {
        let labels_of = |version: &String| {
            let on = self.labels.iter().filter(|(_, on)| *on == version);
            on.map(|(label, _)| (*label).to_owned()).collect::<Vec<_>>()
        };
        let tags = |(key, value): (&&str, &String)| ((*key).to_owned(), value.clone());
        shown.labels == self.values.keys().map(|version| (version.clone(), labels_of(version))).collect()
            && shown.tags == self.tags.iter().map(tags).collect()
    }
}

/// What the service says of a name.
#[derive(Debug)]
pub(super) enum Seen {
    Absent,
    Live { shown: Shown, values: BTreeMap<String, String> },
    Deleted(Shown),
}

/// What is shown of a secret also in its deletion window.
#[derive(Debug)]
pub(super) struct Shown {
    /// The labels of each version, by name.
    labels: BTreeMap<String, Vec<String>>,
    tags: BTreeMap<String, String>,
}

impl Seen {
    /// Reads all of a secret; none when that is refused for now.
    ///
    /// # Errors
    /// When no answer came.
    ///
    /// # Panics
    /// When the answers do not fit together.
    pub(super) fn read(client: &Client, name: &str) -> io::Result<Option<Self>> {
        let send =
            |action: &str, more: &[(&str, &str)]| client.request(action, &[&[("SecretName", name)], more].concat()).send();
        let described = send("DescribeSecret", &[("FetchTags", "true")])?;
        let listed = send("ListSecretVersionIds", &[("IncludeDeprecated", "true")])?;
        let current = send("GetSecretValue", &[])?;
        if [&described, &listed, &current].into_iter().any(refused_for_now) {
            return Ok(None);
        }
        let codes = [described.code(), listed.code(), current.code()];
        if codes == ["Forbidden.ResourceNotFound"; 3] {
            return Ok(Some(Seen::Absent));
        }
        let planned = described.json.get("PlannedDeleteTime").is_some();
        if codes != ["", "", if planned { "Rejected.ResourceInDeleteWindow" } else { "" }] {
            panic!("{name} is half there: {described:?} {listed:?} {current:?}");
        }
        let list = |value: &serde_json::Value| value.as_array().expect("a list").clone();
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        let labels = list(&listed.json["VersionIds"]["VersionId"]);
        let labels: BTreeMap<_, Vec<_>> = labels
            .iter()
            .map(|version| {
                (text(&version["VersionId"]), list(&version["VersionStages"]["VersionStage"]).iter().map(text).collect())
            })
            .collect();
        let tags = list(&described.json["Tags"]["Tag"]);
        let tags = tags.iter().map(|tag| (text(&tag["TagKey"]), text(&tag["TagValue"]))).collect();
        let shown = Shown { labels, tags };
        if planned {
            return Ok(Some(Seen::Deleted(shown)));
        }
        let current = (current.text("VersionId").to_owned(), current.text("SecretData").to_owned());
        let mut values = BTreeMap::from([current]);
        for version in shown.labels.keys() {
            if values.contains_key(version) {
                continue;
            }
            let read = send("GetSecretValue", &[("VersionId", version)])?;
            if refused_for_now(&read) {
                return Ok(None);
            }
            assert_eq!(read.status, 200, "{version} of {name} is half there: {read:?}");
            values.insert(version.clone(), read.text("SecretData").to_owned());
        }
        Ok(Some(Seen::Live { shown, values }))
    }
}
