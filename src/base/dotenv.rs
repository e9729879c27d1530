//! Lines `NAME=VALUE`, as applications have them in .env files.
//!
//! Empty lines and those that begin with `#` say nothing, `export ` before the name is dropped, quotes around a value too; in double
//! quotes `\n`, `\"`, `\$` and `\\` are what they are in shells. What follows a value without quotes behind ` #` is a remark.

use std::fmt::Write as _;

/// Reads the lines, in order.
///
/// # Errors
/// Which line is of another form; never its value.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or_else(|| format!("line {}: no NAME=VALUE", number + 1))?;
        let value = unquoted(value.trim()).ok_or_else(|| format!("line {}: a quote does not end", number + 1))?;
        pairs.push((name.trim().to_owned(), value));
    }
    Ok(pairs)
}

fn unquoted(value: &str) -> Option<String> {
    if let Some(rest) = value.strip_prefix('\'') {
        return Some(rest.split_once('\'')?.0.to_owned());
    }
    let Some(rest) = value.strip_prefix('"') else {
        return Some(value.split(" #").next().unwrap_or(value).trim_end().to_owned());
    };
    let (mut out, mut escaped) = (String::new(), false);
    for c in rest.chars() {
        match (escaped, c) {
            (true, 'n') => out.push('\n'),
            (true, 'r') => out.push('\r'),
            (true, 't') => out.push('\t'),
            (true, c) => out.push(c),
            (false, '\\') => {
                escaped = true;
                continue;
            }
            (false, '"') => return Some(out),
            (false, c) => out.push(c),
        }
        escaped = false;
    }
    None
}

/// A name that variables can have: letters, digits and _, what is none of these as _.
pub fn name(text: &str) -> String {
    let mapped: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if mapped.starts_with(|c: char| c.is_ascii_digit()) { format!("_{mapped}") } else { mapped }
}

/// A line that [`parse`] reads back, and a shell too.
pub fn line(name: &str, value: &str) -> String {
    let mut out = format!("{name}=");
    if !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:,@%+".contains(c)) {
        out.push_str(value);
    } else if !value.contains(['\'', '\n', '\r']) {
        let _ = write!(out, "'{value}'");
    } else {
        out.push('"');
        for c in value.chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '"' | '\\' | '$' | '`' => out.extend(['\\', c]),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_as_applications_write_them() {
        let text = "# c\n\nexport A=1\nB=\"x\\n\\\"y\\\"\" # why\nC='a # b'\napp/db=p=q # note\nD=\nE='x' # it's\n";
        let expected = [("A", "1"), ("B", "x\n\"y\""), ("C", "a # b"), ("app/db", "p=q"), ("D", ""), ("E", "x")];
        let expected: Vec<_> = expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        assert_eq!(parse(text), Ok(expected));
        assert_eq!(parse("A"), Err("line 1: no NAME=VALUE".to_owned()));
        assert_eq!(parse("B=1\nA=\"s3cret"), Err("line 2: a quote does not end".to_owned()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in "[ -~\n\r\t'\"\\\\$`#é]{0,24}") {
            prop_assert_eq!(parse(&line("N", &value)), Ok(vec![("N".to_owned(), value)]));
        }
    }
}
