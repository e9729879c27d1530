//! An operation on one secret, and its one-line text: what a failure prints, and what the named lists are written in.
//!
//! ```text
//! create v1=a          put v2=b             put v2=b binary [ACSCurrent,x]    get    get v1    get @x    get v1@x
//! move x >v2           move x v1>           move x v1>v2                      list   list all  describe
//! update words         delete               delete now                        restore
//! ```

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Create { version: String, value: String },
    Put { version: String, value: String, kind: String, labels: Vec<String> },
    Move { label: String, from: Option<String>, to: Option<String> },
    Get { version: Option<String>, label: Option<String> },
    List { deprecated: bool },
    Describe,
    Update { description: String },
    Delete,
    DeleteNow,
    Restore,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |t: &Option<String>| t.clone().unwrap_or_default();
        match self {
            Op::Create { version, value } => write!(f, "create {version}={value}"),
            Op::Put { version, value, kind, labels } => write!(f, "put {version}={value} {kind} [{}]", labels.join(",")),
            Op::Move { label, from, to } => write!(f, "move {label} {}>{}", text(from), text(to)),
            Op::Get { version, label: None } => write!(f, "get {}", text(version)),
            Op::Get { version, label: Some(label) } => write!(f, "get {}@{label}", text(version)),
            Op::List { deprecated } => f.write_str(if *deprecated { "list all" } else { "list" }),
            Op::Describe => f.write_str("describe"),
            Op::Update { description } => write!(f, "update {description}"),
            Op::Delete => f.write_str("delete"),
            Op::DeleteNow => f.write_str("delete now"),
            Op::Restore => f.write_str("restore"),
        }
    }
}

impl Op {
    /// Reads one line.
    ///
    /// # Panics
    /// On a line that is none.
    pub fn parse(line: &str) -> Self {
        let words: Vec<_> = line.split_whitespace().collect();
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let pair = |text: &str, between: char| text.split_once(between).map(|(a, b)| (a.to_owned(), b.to_owned()));
        let list = |text: &str| text.trim_matches(['[', ']']).split(',').map(str::to_owned).collect();
        let put = |what: &str, kind: &str, labels: &str| {
            pair(what, '=').map(|(version, value)| Op::Put { version, value, kind: kind.to_owned(), labels: list(labels) })
        };
        let parsed = match *words {
            ["create", what] => pair(what, '=').map(|(version, value)| Op::Create { version, value }),
            ["put", what] => put(what, "text", "ACSCurrent"),
            ["put", what, kind, labels] => put(what, kind, labels),
            ["move", label, way] => {
                pair(way, '>').map(|(from, to)| Op::Move { label: label.to_owned(), from: some(&from), to: some(&to) })
            }
            ["get"] => Some(Op::Get { version: None, label: None }),
            ["get", what] => {
                let (version, label) = pair(what, '@').unwrap_or((what.to_owned(), String::new()));
                Some(Op::Get { version: some(&version), label: some(&label) })
            }
            ["list"] => Some(Op::List { deprecated: false }),
            ["list", "all"] => Some(Op::List { deprecated: true }),
            ["describe"] => Some(Op::Describe),
            ["update", description] => Some(Op::Update { description: description.to_owned() }),
            ["delete"] => Some(Op::Delete),
            ["delete", "now"] => Some(Op::DeleteNow),
            ["restore"] => Some(Op::Restore),
            _ => None,
        };
        parsed.unwrap_or_else(|| panic!("no operation: {line:?}"))
    }
}
