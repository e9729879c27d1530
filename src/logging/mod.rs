//! Where lines of the log go, and in which form: standard error, as text or as JSON.
//!
//! Owns: level, form, and that both can be changed while the program runs; and that no line has what a terminal would obey, whoever said what
//! stands in it. Must not know: who logs what. Called by: main, app. How lines leave
//! without anybody waiting is in `lines`.
//!
//! The level is that of the configuration, or $RUST_LOG (`debug`, or `bulla::audit=debug,warn`), which wins. Two libraries say what is
//! none of an operator's business: cryptoki calls each mechanism that it has no name for an error, actix-server tells each start and
//! stop of its threads. They are heard only where $RUST_LOG names them.

mod lines;
mod repeats;

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::Instant;

use env_filter::Filter;
use log::kv::{self, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::base::printable::{json_seen, seen, seen_in_line};
pub use lines::{dropped, flush};
use repeats::{Repeats, Untold};

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// `[2026-11-28T04:10:36.123Z INFO  bulla::http] message`
    #[default]
    Text,
    /// `{"time":"…","level":"info","target":"bulla::http","message":"…"}`, with the fields of access lines as members.
    Json,
    /// `warning: message`; for commands, whose lines people read one by one.
    Brief,
    /// `{"warning":{"message":"…"}}`; for commands whose lines a program reads.
    #[serde(skip)]
    BriefJson,
}

impl Form {
    fn line(self, record: &Record<'_>) -> String {
        match self {
            Form::Text => text(record),
            Form::Json => json(record),
            Form::Brief => brief(record),
            Form::BriefJson => brief_json(record),
        }
    }

    /// Whether each line is part of a command's answer.
    fn is_of_a_command(self) -> bool {
        matches!(self, Form::Brief | Form::BriefJson)
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// `error`, `warn`, `info`, `debug`, `trace` or `off`; `$RUST_LOG` wins.
    pub level: LevelFilter,
    /// `text` or `json`.
    pub format: Form,
}

impl Default for Options {
    fn default() -> Self {
        Self { level: LevelFilter::Info, format: Form::Text }
    }
}

struct Logger {
    state: RwLock<State>,
    repeats: Repeats,
}

struct State {
    filter: Filter,
    form: Form,
    /// What is wrong with `$RUST_LOG`.
    misread: Option<String>,
}

impl State {
    fn new(options: Options, variable: Option<&str>) -> Self {
        let mut builder = env_filter::Builder::new();
        builder.filter_level(options.level);
        builder.filter_module("cryptoki", LevelFilter::Off);
        builder.filter_module("actix_server", LevelFilter::Warn);
        let misread = variable.and_then(|directives| builder.try_parse(directives).err()).map(|e| e.to_string());
        Self { filter: builder.build(), form: options.format, misread }
    }
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Begins to log, or goes on with other options.
pub fn set(options: Options) {
    let state = State::new(options, std::env::var("RUST_LOG").ok().as_deref());
    log::set_max_level(state.filter.filter());
    let misread = state.misread.clone();
    let mut first = Some(state);
    let logger = LOGGER
        .get_or_init(|| Logger { state: RwLock::new(first.take().expect("taken here only")), repeats: Repeats::default() });
    match first {
        Some(state) => *logger.state.write() = state,
        // Fails only where a test's harness logs already.
        None => {
            lines::start();
            drop(log::set_logger(logger));
        }
    }
    if let Some(reason) = misread {
        log::warn!("RUST_LOG: {reason}");
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.state.read().filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let state = self.state.read();
        if !state.filter.matches(record) {
            return;
        }
        let form = state.form;
        drop(state);
        // A command's lines are its answer.
        let (passes, untold) =
            if form.is_of_a_command() { (true, Vec::new()) } else { self.repeats.look_at(record, Instant::now()) };
        for Untold { level, target, place: (file, line), lines } in untold {
            let args = format_args!("{lines} more lines from {file}:{line} were not written");
            lines::put(form.line(&Record::builder().args(args).level(level).target(&target).build()).as_bytes(), false);
        }
        if passes {
            lines::put(form.line(record).as_bytes(), record.level() <= Level::Warn);
        }
    }

    fn flush(&self) {}
}

fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// One line, whatever is in the message: a line break in it could look like a line of ours.
fn text(record: &Record<'_>) -> String {
    let mut line = format!("[{} {:<5} {}] ", now(), record.level(), record.target());
    for (i, part) in record.args().to_string().split('\n').enumerate() {
        let _ = write!(line, "{}{}", if i == 0 { "" } else { " | " }, seen_in_line(part));
    }
    line.push('\n');
    line
}

/// Of whatever level: only what ends a command is its error.
fn brief_json(record: &Record<'_>) -> String {
    format!("{}\n", json_seen(serde_json::json!({ "warning": { "message": record.args().to_string() } }).to_string()))
}

/// The same as text.
fn brief(record: &Record<'_>) -> String {
    let word = match record.level() {
        Level::Error | Level::Warn => "warning",
        Level::Info | Level::Debug | Level::Trace => "note",
    };
    format!("{word}: {}\n", seen(&record.args().to_string()))
}

fn json(record: &Record<'_>) -> String {
    let mut fields = Fields(Map::new());
    fields.0.insert("time".into(), now().into());
    fields.0.insert("level".into(), record.level().as_str().to_ascii_lowercase().into());
    fields.0.insert("target".into(), record.target().into());
    fields.0.insert("message".into(), record.args().to_string().into());
    // The visitor refuses nothing.
    let _ = record.key_values().visit(&mut fields);
    format!("{}\n", json_seen(Value::Object(fields.0).to_string()))
}

/// Members of a line.
struct Fields(Map<String, Value>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let value = match (value.to_bool(), value.to_u64(), value.to_f64()) {
            (Some(flag), ..) => flag.into(),
            (_, Some(number), _) => number.into(),
            (.., Some(number)) => number.into(),
            _ => value.to_string().into(),
        };
        self.0.entry(key.to_string()).or_insert(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::printable::is_printable;

    fn passes(state: &State, target: &str, level: Level) -> bool {
        state.filter.enabled(&Metadata::builder().target(target).level(level).build())
    }

    #[test]
    fn libraries_are_heard_only_where_they_are_named() {
        let state = State::new(Options::default(), None);
        assert!(passes(&state, "bulla::http", Level::Info) && !passes(&state, "bulla::http", Level::Debug));
        assert!(!passes(&state, "cryptoki::mechanism", Level::Error) && !passes(&state, "actix_server::builder", Level::Info));
        let state = State::new(Options::default(), Some("warn"));
        assert!(!passes(&state, "bulla::http", Level::Info) && !passes(&state, "cryptoki::mechanism", Level::Error));
        let state = State::new(Options::default(), Some("cryptoki=error"));
        assert!(passes(&state, "cryptoki::mechanism", Level::Error));
    }

    #[test]
    fn a_line_is_one_line() {
        let args = format_args!("two\nlines");
        let record = Record::builder().args(args).level(Level::Warn).target("t").build();
        assert_eq!(text(&record).lines().count(), 1);
        let value: Value = serde_json::from_str(&json(&record)).expect("JSON");
        assert_eq!((&value["level"], &value["message"]), (&"warn".into(), &"two\nlines".into()));
        assert_eq!(brief(&record), "warning: two\nlines\n");
        assert_eq!(brief_json(&record), "{\"warning\":{\"message\":\"two\\nlines\"}}\n");
    }

    /// What others said (a path, a peer, a token) is read at a terminal.
    #[test]
    fn a_terminal_obeys_no_line() {
        let said = "a\u{1b}[2J\rb\u{9b}1m\u{202e}c\u{2028}d\u{7f}ü\te";
        let args = format_args!("{said}");
        let fields = [("peer", kv::Value::from(said))];
        let record = Record::builder().args(args).level(Level::Warn).target("t").key_values(&fields).build();
        let shown = r"a\u{1b}[2J\rb\u{9b}1m\u{202e}c\u{2028}d\u{7f}ü";
        assert!(text(&record).ends_with(&format!("{shown}\\te\n")), "{}", text(&record));
        assert_eq!(brief(&record), format!("warning: {shown}\te\n"));
        for line in [json(&record), brief_json(&record)] {
            assert!(line.trim_end_matches('\n').chars().all(is_printable), "{line}");
            let value: Value = serde_json::from_str(&line).expect("JSON");
            let message = value.get("message").unwrap_or_else(|| &value["warning"]["message"]);
            assert_eq!(message, said, "programs get what there is");
        }
    }

    #[test]
    fn fields_keep_their_types() {
        let fields = [("status", kv::Value::from(200)), ("code", kv::Value::from("OK")), ("level", kv::Value::from("x"))];
        let record = Record::builder().args(format_args!("m")).level(Level::Info).target("t").key_values(&fields).build();
        let value: Value = serde_json::from_str(&json(&record)).expect("JSON");
        assert_eq!((&value["status"], &value["code"], &value["level"]), (&200.into(), &"OK".into(), &"info".into()));
    }
}
