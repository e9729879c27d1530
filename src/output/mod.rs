//! What a command prints: rows of named values, for people or as JSON; and why one did not do what was asked.
//!
//! Owns: both forms. Called by: admin, remote, main.
//!
//! What people read goes to a terminal, which obeys what it reads; and much of it was said by others (labels, names, descriptions). So
//! every text for people goes through one of [`seen`] and [`seen_in_line`], and none of it moves a cursor, makes up a line or turns the
//! direction of writing.

pub mod progress;

use std::io::Write;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::base::failure::Failure;
use crate::base::locale::{self, t};
use crate::base::printable::json_seen;
pub use crate::base::printable::{seen, seen_in_line};

/// Names and values in order. A value is null where there is none, and has its own type: people see texts, programs don't.
pub type Row = Vec<(&'static str, Value)>;

/// The result of a command.
pub enum Output {
    /// One thing.
    One(Row),
    /// Many of a kind.
    List(Vec<Row>),
    /// Several things, each with too much to say for a table.
    Each(Vec<Row>),
    /// Something that people read in another form than programs.
    Report {
        /// For people.
        text: String,
        /// For programs.
        row: Row,
    },
    /// A document of its own form: to people, what it is for them; to programs, one text under this name.
    Text(&'static str, String),
}

/// A row whose members keep their order.
struct Object<'a>(&'a Row);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Output {
    /// A row.
    pub fn row<const N: usize>(fields: [(&'static str, Value); N]) -> Row {
        fields.into()
    }

    /// One thing.
    pub fn one<const N: usize>(fields: [(&'static str, Value); N]) -> Self {
        Output::One(fields.into())
    }

    /// Prints to standard output.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn print(&self, json: bool) -> Result<(), Failure> {
        let text = if json { self.json()? } else { self.text() };
        line(&text)
    }

    /// One line of JSON.
    ///
    /// # Errors
    /// Never for what commands show.
    pub fn json(&self) -> Result<String, Failure> {
        Ok(match self {
            Output::One(row) | Output::Report { row, .. } => json_of(&Object(row))?,
            Output::List(rows) | Output::Each(rows) => json_of(&rows.iter().map(Object).collect::<Vec<_>>())?,
            Output::Text("", text) => text.clone(),
            Output::Text(name, text) => json_of(&Object(&vec![(*name, text.as_str().into())]))?,
        })
    }

    /// Lines for people; nothing in them is obeyed by a terminal but the ends of lines, and those of values are not among them.
    pub fn text(&self) -> String {
        seen(&self.composed())
    }

    fn composed(&self) -> String {
        match self {
            Output::Each(rows) => rows.iter().map(block).collect::<Vec<_>>().join("\n\n"),
            Output::One(row) => block(row),
            Output::Report { text, .. } => text.clone(),
            Output::List(rows) if rows.is_empty() => t!("none").into_owned(),
            Output::List(rows) => table(rows),
            Output::Text(_, text) => text.trim_end().to_owned(),
        }
    }
}

/// JSON that people look at too.
fn json_of(value: &impl Serialize) -> Result<String, Failure> {
    Ok(json_seen(serde_json::to_string(value)?))
}

/// A thing, a line for each of its members.
fn block(row: &Row) -> String {
    let width = row.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines: Vec<_> = row.iter().map(|(name, value)| format!("{name:<width$}  {}", shown(value))).collect();
    lines.join("\n")
}

/// The same, with the elements of a list on lines of their own: of thousands, too.
fn listed(row: &Row) -> String {
    let (lists, others): (Row, Row) = row.iter().cloned().partition(|(_, value)| value.is_array());
    let mut lines = if others.is_empty() { Vec::new() } else { vec![block(&others)] };
    for (name, list) in lists {
        lines.push(name.to_owned());
        lines.extend(list.as_array().into_iter().flatten().map(|element| format!("  {}", shown(element))));
    }
    lines.join("\n")
}

/// A value as people read it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => seen_in_line(text),
        Value::Array(values) if values.is_empty() => t!("none").into_owned(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(" "),
        Value::Object(members) if members.keys().all(|name| name.ends_with("Key") || name.ends_with("Value")) => {
            members.values().map(shown).collect::<Vec<_>>().join("=")
        }
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| format!("{} {}", seen_in_line(name), shown(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

fn table(rows: &[Row]) -> String {
    let head: Vec<String> = rows[0].iter().map(|(name, _)| (*name).to_owned()).collect();
    let body = rows.iter().map(|row| row.iter().map(|(_, value)| shown(value)).collect());
    let all: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    let widths: Vec<usize> =
        (0..all[0].len()).map(|c| all.iter().map(|row| row[c].chars().count()).max().unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// An object a line, each in a member of this name.
///
/// # Errors
/// Never for what commands show.
pub fn jsonl(name: &str, rows: &[Row]) -> Result<String, Failure> {
    let lines: Result<Vec<String>, _> = rows.iter().map(|row| json_of(&Object(row))).collect();
    Ok(lines?.iter().map(|row| format!("{{\"{name}\":{row}}}")).collect::<Vec<_>>().join("\n"))
}

/// Prints to standard error why something was not done, and what to do about it.
pub fn print_failure(failure: &Failure, json: bool) {
    let text = if json {
        let mut row = Output::row([("class", failure.class.name().into()), ("message", failure.reason.as_str().into())]);
        row.extend(failure.hint.as_deref().map(|hint| ("hint", hint.into())));
        if let Some(answer) = &failure.answer {
            row.extend([("code", answer.code.as_str().into()), ("status", answer.status.into())]);
            row.extend(answer.request_id.as_deref().map(|id| ("request_id", id.into())));
        }
        let result = if failure.result.is_empty() { Ok(String::new()) } else { json_of(&Object(&failure.result)) };
        match json_of(&Object(&row)).and_then(|error| Ok((error, result?))) {
            Ok((error, result)) if result.is_empty() => format!("{{\"error\":{error}}}"),
            Ok((error, result)) => format!("{{\"error\":{error},\"result\":{result}}}"),
            Err(error) => error.reason,
        }
    } else {
        let mut text = t!("error: %{reason}", reason = failure.reason).into_owned();
        if let Some(hint) = &failure.hint {
            text += &format!("\n{}", t!("hint: %{hint}", hint = hint));
        }
        if let Some(id) = failure.answer.as_ref().and_then(|answer| answer.request_id.as_deref()) {
            text += &format!("\n{}", t!("request ID: %{id}", id = seen_in_line(id)));
        }
        if !failure.result.is_empty() {
            text += &format!("\n{}", listed(&failure.result));
        }
        seen(&text)
    };
    // Nobody is left to tell.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// One line on standard output, at once.
///
/// # Errors
/// When it cannot be written.
pub fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

/// Bytes on standard output, at once. Where nobody reads any more all is done: so does `head` end a list.
///
/// # Errors
/// When they cannot be written.
pub fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|e| unwritten(&e)),
    }
}

/// Why standard output could not be written.
pub fn unwritten(error: &std::io::Error) -> Failure {
    Failure::local(t!("standard output: %{reason}", reason = locale::os(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::printable::is_printable;

    #[test]
    fn programs_get_types_and_people_get_texts() {
        let row = Output::row([
            ("Name", "a".into()),
            ("Enabled", true.into()),
            ("Uses", 7.into()),
            ("Policies", Vec::<String>::new().into()),
            ("LastUsed", Value::Null),
        ]);
        let output = Output::List(vec![row]);
        let json = r#"[{"Name":"a","Enabled":true,"Uses":7,"Policies":[],"LastUsed":null}]"#;
        assert_eq!(output.json().expect("JSON"), json);
        assert_eq!(output.text(), "Name  Enabled  Uses  Policies  LastUsed\na     true     7     none      -");
        assert_eq!(Output::List(Vec::new()).json().expect("JSON"), "[]");
        let objects = Output::one([
            ("Status", serde_json::json!({ "audit": "ok", "clock": "ok", "token": "away" })),
            ("Tags", serde_json::json!([{ "TagKey": "a", "TagValue": "1" }, { "Key": "b", "Value": "2" }])),
        ]);
        assert_eq!(objects.text(), "Status  audit ok, clock ok, token away\nTags    a=1 b=2");
    }

    /// What others have said makes up no line, and moves no cursor.
    #[test]
    fn a_terminal_obeys_no_value() {
        let row = || {
            Output::row([("Label", "a\nOwner  root\u{1b}[2J\u{9b}1m\r\u{202e}\u{7f}ü".into()), ("Owner", "user/ann".into())])
        };
        let shown = r"a\nOwner  root\u{1b}[2J\u{9b}1m\r\u{202e}\u{7f}ü";
        assert_eq!(Output::One(row()).text(), format!("Label  {shown}\nOwner  user/ann"));
        let table = Output::List(vec![row()]).text();
        assert!(table.lines().count() == 2 && table.contains(shown), "{table}");
        assert_eq!(Output::Each(vec![row(), row()]).text().lines().count(), 5);
        let list = Output::one([("Labels", vec!["a\u{1b}c", "b\nc"].into())]);
        assert_eq!(list.text(), r"Labels  a\u{1b}c b\nc");
        assert_eq!(Output::Text("Page", "a\tb\n\u{1b}]0;x\u{7}c".to_owned()).text(), "a\tb\n\\u{1b}]0;x\\u{7}c");
        let report = Output::Report { text: "a\u{1b}[1m\nb".to_owned(), row: Vec::new() };
        assert_eq!(report.text(), "a\\u{1b}[1m\nb");
        let json = Output::One(row()).json().expect("JSON");
        assert!(json.chars().all(is_printable) && json.contains(r"\u001b[2J\u009b1m\r\u202e\u007fü"), "{json}");
        let read: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read["Label"], row()[0].1, "programs get what there is");
    }
}
