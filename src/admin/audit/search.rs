//! `bulla audit search`: who did what to what, and the proof that the answer is whole, in one pass over the files.
//!
//! A write is two lines, the intent and the outcome; its outcome is shown. A line is decoded only when it holds every text that is
//! looked for, so that a search costs little more than the proof.

use std::io::{BufWriter, IsTerminal, StdoutLock, Write};

use memchr::memmem::Finder;
use rustix::fs::{FileType, fstat};
use serde::{Deserialize, Serialize};

use super::verify::shown;
use super::{Proof, Reading};
use crate::api::table;
use crate::app::Failure;
use crate::audit::{self, ReadLine};
use crate::auth::policy;
use crate::base::clock::{Clock, Timestamp};
use crate::base::failure::Class;
use crate::cli::{Form, Wanted};
use crate::output::{Output, jsonl, seen_in_line, unwritten};

/// Rows of a table whose widths are measured together.
const TABLE_ROWS: usize = 1000;

/// A record of the log, as it is shown.
#[derive(Deserialize, Serialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Found<'a> {
    #[serde(borrow)]
    time: Text<'a>,
    node: Text<'a>,
    seq: u64,
    kind: Text<'a>,
    #[serde(default)]
    request_id: Text<'a>,
    #[serde(default)]
    account: Text<'a>,
    #[serde(default)]
    principal: Text<'a>,
    #[serde(default)]
    access_key: Text<'a>,
    #[serde(default)]
    source_ip: Text<'a>,
    #[serde(default)]
    action: Text<'a>,
    #[serde(default)]
    resource: Text<'a>,
    #[serde(default)]
    resources: Vec<Text<'a>>,
    #[serde(default)]
    version: Text<'a>,
    #[serde(default)]
    version_id: Text<'a>,
    #[serde(default)]
    decision: Text<'a>,
    #[serde(default)]
    by: Text<'a>,
    #[serde(default)]
    code: Text<'a>,
}

type Text<'a> = std::borrow::Cow<'a, str>;

/// The columns of a table; CSV and JSON have every member.
const COLUMNS: [&str; 9] = ["Time", "Principal", "Access key", "From", "Action", "Resource", "Version", "Decided by", "Code"];

impl Found<'_> {
    fn columns(&self) -> [String; 9] {
        let version = match (self.version.as_ref(), self.version_id.as_ref()) {
            (text, "") | ("", text) => text.to_owned(),
            (asked, served) if asked == served => asked.to_owned(),
            (asked, served) => format!("{served} ({asked})"),
        };
        let resource = match self.resources.len() {
            0 | 1 => short(&self.resource).to_owned(),
            all => format!("{} (+{})", short(&self.resource), all - 1),
        };
        let decided = match (self.decision.as_ref(), self.by.as_ref()) {
            ("refused", "") => "refused".to_owned(),
            ("refused", by) => format!("refused by {by}"),
            (_, by) => by.to_owned(),
        };
        [&self.time, &self.principal, &self.access_key, &self.source_ip, &self.action]
            .map(|text| text.to_string())
            .into_iter()
            .chain([resource, version, decided, self.code.to_string()])
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or_default()
    }

    fn members(&self) -> [(&'static str, String); 17] {
        [
            ("time", self.time.to_string()),
            ("node", self.node.to_string()),
            ("seq", self.seq.to_string()),
            ("kind", self.kind.to_string()),
            ("request_id", self.request_id.to_string()),
            ("account", self.account.to_string()),
            ("principal", self.principal.to_string()),
            ("access_key", self.access_key.to_string()),
            ("source_ip", self.source_ip.to_string()),
            ("action", self.action.to_string()),
            ("resource", self.resource.to_string()),
            ("version", self.version.to_string()),
            ("version_id", self.version_id.to_string()),
            ("decision", self.decision.to_string()),
            ("by", self.by.to_string()),
            ("code", self.code.to_string()),
            ("resources", self.resources.join(" ")),
        ]
    }
}

/// Runs the command.
pub(super) fn run(proof: &Proof, wanted: &Wanted, form: Form, limit: Option<u64>) -> Result<Output, Failure> {
    let filter = Filter::new(wanted, Clock::System.now())?;
    let mut records = Records { printer: Printer::new(form), limit, found: 0, intent: None, lost: None };
    let (mut reports, mut flaws) = (Vec::new(), Vec::new());
    let mut reading = (!is_piped()).then(|| Reading::of(&proof.logs));
    let aside = |reading: &Option<Reading>| reading.iter().for_each(|reading| reading.progress.aside());
    for log in &proof.logs {
        let mut each = |line: &ReadLine<'_>| {
            reading.iter_mut().for_each(|reading| reading.more(line));
            if filter.may_match(line)
                && let Ok(record) = serde_json::from_slice::<Found<'_>>(line.text)
                && filter.matches(&record)
            {
                aside(&reading);
                records.take(&record, line.text);
            }
            records.wants_more()
        };
        let (report, broken) = audit::read(&log.files, &proof.keys, &mut each);
        aside(&reading);
        records.show_intent();
        reports.push((log, report));
        flaws.extend(broken.map(|broken| format!("{} of node {}: {broken}", log.name, log.node)));
        if !records.wants_more() {
            break;
        }
    }
    let Records { printer, found, lost, .. } = records;
    // Nobody reads what is printed any more; so does `head` end a search.
    if let Some(error) = lost.filter(|e: &std::io::Error| e.kind() != std::io::ErrorKind::BrokenPipe) {
        return Err(unwritten(&error));
    }
    printer.end()?;
    if let (0, true, Some(action)) = (found, flaws.is_empty(), filter.unknown()) {
        return Err(no_action(action));
    }
    if !flaws.is_empty() {
        let reason = format!("a log does not verify: {}; {found} records were found before that", flaws.join("; "));
        return Err(Failure::new(reason).hint("nothing behind that line was read"));
    }
    let rows = shown(&reports, &proof.keys.public);
    Ok(match form {
        Form::Json => Output::Text("", jsonl("Proof", &rows)?),
        Form::Csv | Form::Table => {
            let mark = if form == Form::Csv { "# " } else { "" };
            let told = rows.iter().map(|row| {
                let text =
                    |name: &str| row.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str().unwrap_or_default().to_owned());
                let (log, node, verdict) = (text("Log"), text("Node"), text("Verdict"));
                format!(
                    "{mark}{} of node {}: {}",
                    log.unwrap_or_default(),
                    node.unwrap_or_default(),
                    verdict.unwrap_or_default()
                )
            });
            let records = if found == 1 { "record" } else { "records" };
            let mut lines: Vec<String> = vec![format!("{mark}{found} {records}")];
            lines.extend(told);
            Output::Text("", lines.join("\n"))
        }
    })
}

/// Whether another program reads what is printed: a pager has the terminal for itself.
fn is_piped() -> bool {
    fstat(std::io::stdout()).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Fifo)
}

/// The records that fit, on their way to the printer.
struct Records {
    printer: Printer,
    limit: Option<u64>,
    found: u64,
    /// Of a command on the host: request and line. Its outcome is of the same kind, and the next of its log; without one, what it was
    /// about to do is what is known.
    intent: Option<(String, Vec<u8>)>,
    /// Why nothing can be printed any more.
    lost: Option<std::io::Error>,
}

impl Records {
    fn wants_more(&self) -> bool {
        self.lost.is_none() && self.limit.is_none_or(|limit| self.found < limit)
    }

    fn take(&mut self, record: &Found<'_>, line: &[u8]) {
        if record.kind == "admin" {
            if self.intent.as_ref().is_some_and(|(request, _)| *request == record.request_id) {
                self.intent = None;
            }
            self.show_intent();
            if record.code.is_empty() {
                self.intent = Some((record.request_id.to_string(), line.to_vec()));
                return;
            }
        }
        self.show(record, line);
    }

    /// Shows the intent whose outcome did not come.
    fn show_intent(&mut self) {
        if let Some((_, line)) = self.intent.take()
            && let Ok(record) = serde_json::from_slice::<Found<'_>>(&line)
        {
            self.show(&record, &line);
        }
    }

    fn show(&mut self, record: &Found<'_>, line: &[u8]) {
        if self.wants_more() {
            self.found += 1;
            self.lost = self.printer.record(record, line).err();
        }
    }
}

/// The conditions, ready to be asked of ten million lines.
struct Filter {
    /// Texts that a line must hold to be looked at.
    needles: Vec<Finder<'static>>,
    since: Option<String>,
    until: Option<String>,
    wanted: Wanted,
    resource: Option<String>,
    who: Option<String>,
}

impl Filter {
    fn new(wanted: &Wanted, now: Timestamp) -> Result<Self, Failure> {
        let time = |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
        let resource = match (&wanted.secret, &wanted.key, &wanted.resource) {
            (Some(name), ..) => Some(format!("secret/{name}")),
            (_, Some(id), _) => Some(format!("key/{id}")),
            (.., arn) => arn.clone(),
        };
        let who = wanted.who.as_ref().map(|who| match who.as_str() {
            "root" => who.clone(),
            _ if who.contains('/') || who.starts_with("BLLA") || who.starts_with("KAAP.") => who.clone(),
            _ => format!("user/{who}"),
        });
        let json = |text: &str| {
            let quoted = serde_json::Value::from(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        };
        let mut needles: Vec<String> = Vec::new();
        let mut wanted = wanted.clone();
        wanted.action = wanted.action.as_deref().map(operation);
        possible(&wanted)?;
        let (since, until) = (time(&wanted.since)?, time(&wanted.until)?);
        if since.as_ref().zip(until.as_ref()).is_some_and(|(since, until)| since >= until) {
            let failure = Failure::new("--since is not before --until: no time is between them").class(Class::Usage);
            return Err(failure.hint("--since is the earlier of both"));
        }
        // In what letter case others stand is not known.
        let action = wanted.action.clone().filter(|action| is_operation(action));
        let texts = [&resource, &who, &action, &wanted.account, &wanted.request_id];
        needles.extend(texts.into_iter().flatten().map(|text| json(text.trim_end_matches('*'))));
        needles.extend(wanted.source_ip.map(|ip| ip.to_string()));
        if wanted.denied {
            needles.push(r#""decision":"refused""#.to_owned());
        }
        // The rarest text first is guessed to be the longest.
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        let needles = needles.iter().map(|needle| Finder::new(needle).into_owned()).collect();
        Ok(Self { needles, since, until, wanted, resource, who })
    }

    /// The action that is wanted, where it is no operation of the API: one of the commands on the host, or misspelt.
    fn unknown(&self) -> Option<&str> {
        let action = self.wanted.action.as_deref().filter(|action| !action.ends_with('*'))?;
        (!is_operation(action)).then_some(action)
    }

    /// Whether a line is worth decoding.
    fn may_match(&self, line: &ReadLine<'_>) -> bool {
        matches!(line.kind, "read" | "refused" | "outcome" | "admin")
            && self.since.as_deref().is_none_or(|since| line.time >= since)
            && self.until.as_deref().is_none_or(|until| line.time < until)
            && self.needles.iter().all(|needle| needle.find(line.text).is_some())
    }

    fn matches(&self, record: &Found<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| fits(wanted, found));
        let Wanted { action, account, source_ip, request_id, denied, failed, .. } = &self.wanted;
        let resource = self.resource.as_deref().is_none_or(|wanted| {
            let mut all = std::iter::once(&record.resource).chain(&record.resources);
            all.any(|arn| fits(wanted, arn) || fits(wanted, short(arn)))
        });
        resource
            && self.who.as_deref().is_none_or(|who| fits(who, &record.principal) || fits(who, &record.access_key))
            && action.as_deref().is_none_or(|action| fits(&action.to_ascii_lowercase(), &record.action.to_ascii_lowercase()))
            && is(account, &record.account)
            && is(request_id, &record.request_id)
            && source_ip.is_none_or(|ip| record.source_ip == ip.to_string())
            && (!denied || record.decision == "refused")
            && (!failed || (record.code != "OK" && !record.code.is_empty()))
    }
}

/// Refuses names that no record has, whatever happened.
fn possible(wanted: &Wanted) -> Result<(), Failure> {
    // What begins a name of one length, or is one.
    let begins = |text: &str, length: usize, may: fn(u8) -> bool| {
        let begin = text.strip_suffix('*').unwrap_or(text);
        begin.bytes().all(may) && if begin.len() == text.len() { begin.len() == length } else { begin.len() <= length }
    };
    let refused = |reason: String, hint: &str| Err(Failure::new(reason).class(Class::Usage).hint(hint));
    if let Some(id) = wanted.account.as_deref().filter(|id| !begins(id, 16, |b| b.is_ascii_digit())) {
        return refused(format!("--account {id:?} is no account's id"), "16 digits; `bulla account list` shows them");
    }
    let in_uuid = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-');
    if let Some(id) = wanted.request_id.as_deref().filter(|id| !begins(id, 36, in_uuid)) {
        return refused(
            format!("--request-id {id:?} is no request's id"),
            "a UUID in lower case, as answers and access lines have it",
        );
    }
    if let Some(who) = wanted.who.as_deref().filter(|who| who.ends_with('/')) {
        return refused(format!("--who {who:?} is the name of nobody"), "user/NAME; user/* is all of them");
    }
    Ok(())
}

/// An operation as the log writes it: without the service's name, and in its own letter case.
fn operation(text: &str) -> String {
    let service = text.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("kms:"));
    let word = if service { &text[4..] } else { text };
    let begin = word.strip_suffix('*').unwrap_or(word);
    let is = |name: &&str| match begin.len() == word.len() {
        true => name.eq_ignore_ascii_case(begin),
        false => name.get(..begin.len()).is_some_and(|there| there.eq_ignore_ascii_case(begin)),
    };
    let known = table::names().find(is).map(|name| &name[..begin.len()]);
    known.map_or(word.to_owned(), |known| format!("{known}{}", &word[begin.len()..]))
}

fn is_operation(action: &str) -> bool {
    table::names().any(|name| name == action)
}

fn no_action(action: &str) -> Failure {
    let failure = Failure::not_found(format!("no record has the action {action:?}, and no operation is called so"));
    match policy::nearest(action, table::names()) {
        Some(meant) => failure.hint(format!("did you mean {meant}?")),
        None => failure.hint("the operations are in docs/api.md, the commands on the host in docs/operations.md"),
    }
}

/// An ARN's end, without region and account; what is no ARN as it is.
fn short(arn: &str) -> &str {
    arn.splitn(5, ':').nth(4).unwrap_or(arn)
}

/// Whether a name is the one wanted, or begins like it where a `*` ends that.
fn fits(wanted: &str, found: &str) -> bool {
    wanted.strip_suffix('*').map_or(found == wanted, |start| found.starts_with(start))
}

/// A moment as the log writes it, so that texts compare as times do.
fn moment(text: &str, now: Timestamp) -> Result<String, Failure> {
    let ago = |unit: char, ms: i64| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(now.plus_ms(-i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(ms)))
    };
    let at = ago('d', 86_400_000)
        .or_else(|| ago('h', 3_600_000))
        .or_else(|| ago('m', 60_000))
        .or_else(|| Timestamp::parse(text))
        .or_else(|| Timestamp::parse(&format!("{text}T00:00:00Z")));
    let at = at.ok_or_else(|| {
        let hint = "for example 2026-11-28T04:10:00Z, 2026-11-28, 7d, 12h or 30m";
        Failure::new(format!("{text:?} is no time")).class(Class::Usage).hint(hint)
    })?;
    // Before 1970 is before all records, and a year below 0 would not compare as a text.
    Ok(at.max(Timestamp(0)).to_string().trim_end_matches('Z').to_owned())
}

/// Prints records as they are found.
struct Printer {
    out: BufWriter<StdoutLock<'static>>,
    form: Form,
    begun: bool,
    rows: Vec<[String; 9]>,
    /// Whether each record is to stand there whole before anything else is said.
    terminal: bool,
}

impl Printer {
    fn new(form: Form) -> Self {
        let out = std::io::stdout();
        let terminal = out.is_terminal();
        Self { out: BufWriter::new(out.lock()), form, begun: false, rows: Vec::new(), terminal }
    }

    /// What people read goes to terminals and tables; what stands in a record was said by strangers too.
    fn record(&mut self, record: &Found<'_>, line: &[u8]) -> std::io::Result<()> {
        self.write(record, line)?;
        if self.terminal { self.out.flush() } else { Ok(()) }
    }

    fn write(&mut self, record: &Found<'_>, line: &[u8]) -> std::io::Result<()> {
        match self.form {
            // As it stands in the log, so that it can be proved again.
            Form::Json => {
                self.out.write_all(line)?;
                self.out.write_all(b"\n")
            }
            Form::Csv => {
                let members = record.members();
                if !self.begun {
                    self.begun = true;
                    writeln!(self.out, "{}", members.each_ref().map(|(name, _)| *name).join(","))?;
                }
                writeln!(self.out, "{}", members.map(|(_, text)| csv(&text)).join(","))
            }
            Form::Table => {
                self.rows.push(record.columns().map(|text| seen_in_line(&text)));
                if self.rows.len() >= TABLE_ROWS { self.table() } else { Ok(()) }
            }
        }
    }

    fn table(&mut self) -> std::io::Result<()> {
        let names = COLUMNS.map(str::to_owned);
        let widths: Vec<usize> = (0..names.len())
            .map(|c| std::iter::once(&names).chain(&self.rows).map(|row| row[c].chars().count()).max().unwrap_or_default())
            .collect();
        let head = (!self.begun && !self.rows.is_empty()).then_some(&names);
        for row in head.into_iter().chain(&self.rows) {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect();
            writeln!(self.out, "{}", cells.join("  ").trim_end())?;
        }
        self.begun = true;
        self.rows.clear();
        Ok(())
    }

    fn end(mut self) -> Result<(), Failure> {
        let printed = self.table().and_then(|()| self.out.flush());
        match printed {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(unwritten(&error)),
            _ => Ok(()),
        }
    }
}

/// A field of RFC 4180. One that a spreadsheet would run as a formula begins with an apostrophe instead; what a terminal would obey is
/// escaped. Whoever needs each byte reads JSON.
fn csv(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = format!("{}{}", if is_formula { "'" } else { "" }, seen_in_line(text));
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::printable::is_printable;

    #[test]
    fn times_that_people_write() {
        let now = Timestamp::parse("2026-11-28T04:10:00Z").expect("a time");
        for (text, at) in [
            ("7d", "2026-11-21T04:10:00"),
            ("12h", "2026-11-27T16:10:00"),
            ("30m", "2026-11-28T03:40:00"),
            ("2026-11-28", "2026-11-28T00:00:00"),
            ("2026-11-28T01:02:03Z", "2026-11-28T01:02:03"),
            ("5000000d", "1970-01-01T00:00:00"),
            ("9999999999m", "1970-01-01T00:00:00"),
            ("9223372036854775807d", "1970-01-01T00:00:00"),
        ] {
            assert_eq!(moment(text, now).expect(text), at);
        }
        for text in ["yesterday", "-7d", "d"] {
            assert_eq!(moment(text, now).expect_err("no time").class, Class::Usage, "{text}");
        }
    }

    #[test]
    fn names_that_no_record_has_are_refused() {
        let now = Timestamp(0);
        let refused = |wanted: Wanted| Filter::new(&wanted, now).err().map(|failure| failure.class) == Some(Class::Usage);
        let account = |id: &str| Wanted { account: Some(id.into()), ..Wanted::default() };
        let request = |id: &str| Wanted { request_id: Some(id.into()), ..Wanted::default() };
        assert!(refused(account("1")) && refused(account("dev")) && refused(account("12345678901234567*")));
        assert!(!refused(account("1*")) && !refused(account("1234567890123456")));
        assert!(refused(request("x")) && refused(request("A0000000-0000-4000-8000-000000000000")));
        assert!(!refused(request("a0*")) && !refused(request("a0000000-0000-4000-8000-000000000000")));
        assert!(refused(Wanted { who: Some("user/".into()), ..Wanted::default() }));
    }

    #[test]
    fn each_resource_of_a_record_is_found() {
        let line = r#"{"time":"t","node":"n","seq":1,"kind":"refused","resource":"acs:kms:r:1:key/k",
            "resources":["acs:kms:r:1:secret/a","acs:kms:r:1:key/k"],"decision":"refused","by":"p"}"#;
        let record: Found<'_> = serde_json::from_str(line).expect("a record");
        let now = Timestamp(0);
        let found = |wanted: Wanted| Filter::new(&wanted, now).expect("a filter").matches(&record);
        assert!(found(Wanted { secret: Some("a".into()), denied: true, ..Wanted::default() }));
        assert!(found(Wanted { key: Some("k".into()), ..Wanted::default() }));
        assert!(found(Wanted { resource: Some("acs:kms:r:1:secret/a".into()), ..Wanted::default() }));
        assert!(!found(Wanted { secret: Some("b".into()), ..Wanted::default() }));
        let columns = record.columns();
        assert_eq!((columns[5].as_str(), columns[7].as_str()), ("key/k (+1)", "refused by p"));
    }

    /// Whoever has an id, a name or an address in a record, none of it is obeyed by a terminal, and none makes up a row.
    #[test]
    fn a_terminal_obeys_no_record() {
        let line = r#"{"time":"t","node":"n","seq":1,"kind":"refused","principal":"a\u001b[2J\u202e\u2028b",
            "resource":"acs:kms:r:1:secret/x\r\ny","code":"\u009bm"}"#;
        let record: Found<'_> = serde_json::from_str(line).expect("a record");
        let mut printer = Printer::new(Form::Table);
        printer.record(&record, line.as_bytes()).expect("a row");
        let row = printer.rows.pop().expect("a row");
        assert!(row.iter().all(|cell| cell.chars().all(is_printable)), "{row:?}");
        assert_eq!((row[1].as_str(), row[5].as_str()), (r"a\u{1b}[2J\u{202e}\u{2028}b", r"secret/x\r\ny"));
    }

    #[test]
    fn fields_of_others_stay_fields() {
        assert_eq!(csv("a,b\"c"), "\"a,b\"\"c\"");
        assert_eq!(csv("=1+1"), "'=1+1");
        assert_eq!(csv("\ta\r\n\u{1b}[2J"), r"'\ta\r\n\u{1b}[2J");
        assert!(fits("app/*", "app/db") && !fits("app/db", "app/db2") && fits("app/db", "app/db"));
    }
}
