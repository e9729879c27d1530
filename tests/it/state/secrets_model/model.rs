//! One secret as the documentation has it: versions, labels, the deletion window, the limits. Nothing of how Bulla does it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::op::Op;

/// What is compared of an answer: its content, or status and code.
pub type Outcome = Result<Value, (u16, String)>;

const CURRENT: &str = "ACSCurrent";
const PREVIOUS: &str = "ACSPrevious";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Life {
    #[default]
    Absent,
    Live,
    Window,
}

#[derive(Debug, Clone)]
struct Version {
    id: String,
    value: String,
    kind: String,
}

#[derive(Debug, Clone, Default)]
pub struct Secret {
    pub life: Life,
    /// By age.
    versions: Vec<Version>,
    /// Label to version.
    labels: BTreeMap<String, String>,
    description: String,
}

fn refused<T>(status: u16, code: &str) -> Result<T, (u16, String)> {
    Err((status, code.to_owned()))
}

fn built_in(label: &str) -> bool {
    label == CURRENT || label == PREVIOUS
}

impl Secret {
    /// What the operation answers; the secret is then as it leaves it.
    pub fn apply(&mut self, op: &Op) -> Outcome {
        if let Op::Move { label, from, to: None } = op {
            match from {
                None => return refused(400, "MissingParameter"),
                Some(_) if built_in(label) => return refused(400, "InvalidParameter"),
                Some(_) => {}
            }
        }
        match (op, self.life) {
            (Op::Create { .. }, Life::Live) => refused(409, "Rejected.ResourceExist"),
            (Op::Create { version, value }, Life::Absent) => {
                *self = Self { life: Life::Live, ..Self::default() };
                self.add(version, value, "text", &[CURRENT.to_owned()])
            }
            (_, Life::Absent) => refused(404, "Forbidden.ResourceNotFound"),
            (Op::List { deprecated }, _) => Ok(self.list(*deprecated)),
            (Op::Describe, life) => Ok(json!([self.description, life == Life::Window])),
            (Op::DeleteNow, _) => self.becomes(Life::Absent),
            (Op::Restore, Life::Window) => self.becomes(Life::Live),
            (_, Life::Window) => refused(409, "Rejected.ResourceInDeleteWindow"),
            (Op::Restore, Life::Live) => refused(409, "Rejected.ResourceInUse"),
            (Op::Delete, Life::Live) => self.becomes(Life::Window),
            (Op::Update { description }, Life::Live) => {
                self.description.clone_from(description);
                Ok(Value::Null)
            }
            (Op::Put { version, value, kind, labels }, Life::Live) => self.put(version, value, kind, labels),
            (Op::Move { label, from, to }, Life::Live) => self.shift(label, from.as_deref(), to.as_deref()),
            (Op::Get { version, label }, Life::Live) => self.get(version.as_deref(), label.as_deref()),
        }
    }

    fn becomes(&mut self, life: Life) -> Outcome {
        self.life = life;
        Ok(Value::Null)
    }

    fn version(&self, id: &str) -> Result<&Version, (u16, String)> {
        self.versions.iter().find(|v| v.id == id).ok_or((404, "Forbidden.ResourceNotFound".to_owned()))
    }

    fn on(&self, version: &str) -> Vec<&String> {
        self.labels.iter().filter(|(_, on)| *on == version).map(|(label, _)| label).collect()
    }

    fn put(&mut self, id: &str, value: &str, kind: &str, labels: &[String]) -> Outcome {
        match self.version(id) {
            Ok(same) if same.value == value && same.kind == kind => Ok(json!(self.on(id))),
            Ok(_) => refused(409, "Rejected.ResourceExist"),
            Err(_) => self.add(id, value, kind, labels),
        }
    }

    fn add(&mut self, id: &str, value: &str, kind: &str, labels: &[String]) -> Outcome {
        let before = self.clone();
        self.versions.push(Version { id: id.to_owned(), value: value.to_owned(), kind: kind.to_owned() });
        for label in labels.iter().filter(|l| *l == CURRENT).chain(labels.iter().filter(|l| *l != CURRENT)) {
            self.stick(label, id);
        }
        if self.labels.len() > 8 {
            *self = before;
            return refused(400, "Rejected.LimitExceeded");
        }
        if self.versions.len() > 10 {
            let bare = self.versions.iter().position(|v| self.on(&v.id).is_empty()).expect("eight labels, eleven versions");
            self.versions.remove(bare);
        }
        Ok(json!(self.on(id)))
    }

    fn stick(&mut self, label: &str, on: &str) {
        let left = self.labels.insert(label.to_owned(), on.to_owned());
        if let Some(left) = left.filter(|left| label == CURRENT && left != on) {
            self.labels.insert(PREVIOUS.to_owned(), left);
        }
    }

    fn shift(&mut self, label: &str, from: Option<&str>, to: Option<&str>) -> Outcome {
        for version in [from, to].into_iter().flatten() {
            self.version(version)?;
        }
        if from.is_some_and(|from| self.labels.get(label).is_none_or(|on| on != from)) {
            return refused(400, "InvalidParameter");
        }
        let before = self.labels.clone();
        match to {
            Some(to) => self.stick(label, to),
            None => drop(self.labels.remove(label)),
        }
        if self.labels.len() > 8 {
            self.labels = before;
            return refused(400, "Rejected.LimitExceeded");
        }
        Ok(Value::Null)
    }

    fn get(&self, version: Option<&str>, label: Option<&str>) -> Outcome {
        let missing = || refused(404, "Forbidden.ResourceNotFound");
        let labelled = match (version, label) {
            (Some(_), None) => None,
            (_, label) => match self.labels.get(label.unwrap_or(CURRENT)) {
                None => return missing(),
                on => on,
            },
        };
        if version.zip(labelled).is_some_and(|(version, on)| version != on) {
            return missing();
        }
        let found = self.version(version.or(labelled.map(String::as_str)).expect("one of the two"))?;
        Ok(json!([found.id, found.value, found.kind, self.on(&found.id)]))
    }

    fn list(&self, deprecated: bool) -> Value {
        let shown = self.versions.iter().filter(|v| deprecated || !self.on(&v.id).is_empty());
        shown.map(|v| json!([v.id, self.on(&v.id)])).collect()
    }

    /// Reads that together show all of it.
    pub fn reads(&self) -> Vec<Op> {
        let mut reads = vec![Op::Describe, Op::List { deprecated: true }, Op::Get { version: None, label: None }];
        reads.extend(self.versions.iter().map(|v| Op::Get { version: Some(v.id.clone()), label: None }));
        reads
    }
}
