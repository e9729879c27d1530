//! What a command prints: rows of named texts, for people or as JSON.
//!
//! Owns: both forms. Called by: the commands.

use std::io::Write;

use crate::app::Failure;

/// Names and texts in order.
pub type Row = Vec<(&'static str, String)>;

/// The result of a command.
pub enum Output {
    /// One thing.
    One(Row),
    /// Many of a kind.
    List(Vec<Row>),
}

impl Output {
    /// A row.
    pub fn row<const N: usize>(fields: [(&'static str, String); N]) -> Row {
        fields.into()
    }

    /// One thing.
    pub fn one<const N: usize>(fields: [(&'static str, String); N]) -> Self {
        Output::One(fields.into())
    }

    /// Prints to standard output.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn print(&self, json: bool) -> Result<(), Failure> {
        let text = if json { self.json() } else { self.text() };
        line(&text)
    }

    fn json(&self) -> String {
        let object = |row: &Row| -> serde_json::Value {
            row.iter().map(|(name, text)| ((*name).to_owned(), text.clone().into())).collect::<serde_json::Map<_, _>>().into()
        };
        match self {
            Output::One(row) => object(row).to_string(),
            Output::List(rows) => serde_json::Value::from(rows.iter().map(object).collect::<Vec<_>>()).to_string(),
        }
    }

    fn text(&self) -> String {
        match self {
            Output::One(row) => {
                let width = row.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
                let lines: Vec<_> = row.iter().map(|(name, text)| format!("{name:<width$}  {text}")).collect();
                lines.join("\n")
            }
            Output::List(rows) if rows.is_empty() => "none".to_owned(),
            Output::List(rows) => table(rows),
        }
    }
}

fn table(rows: &[Row]) -> String {
    let head: Row = rows[0].iter().map(|(name, _)| (*name, (*name).to_owned())).collect();
    let all: Vec<&Row> = std::iter::once(&head).chain(rows).collect();
    let widths: Vec<usize> =
        (0..head.len()).map(|c| all.iter().map(|row| row[c].1.chars().count()).max().unwrap_or_default()).collect();
    let line = |row: &&Row| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|((_, text), width)| format!("{text:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// One line on standard output, at once.
///
/// # Errors
/// When it cannot be written.
pub fn line(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}
