//! Lines `NAME=VALUE`, as applications have them in .env files.
//!
//! Empty lines and those that begin with `#` say nothing, `export ` before the name is dropped. A value that begins with a quote is read as
//! a shell reads it: quotes next to one another are one value, and may span lines; in double quotes `\"`, `\$`, `` \` `` and `\\` are
//! those characters, and, which shells do not know, `\n`, `\r` and `\t` a line's end, a return, a tab. A value without a quote is what
//! stands there. What follows a value behind a blank and `#` is a remark. Nothing is replaced: `$NAME` stays.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use super::locale::{self, t};

/// Reads the lines, in order.
///
/// # Errors
/// Which line is of another form; never its value.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut reader = Reader { rest: text.chars().peekable(), line: 1 };
    let mut pairs = Vec::new();
    while reader.rest.peek().is_some() {
        let begun = reader.line;
        let wrong = |reason: &str| t!("line %{line}: %{reason}", line = begun, reason = reason).into_owned();
        let mut name = String::new();
        while let Some(c) = reader.rest.next_if(|c| !matches!(c, '=' | '\n')) {
            name.push(c);
        }
        let name = name.trim();
        if name.starts_with('#') {
            reader.skip_line();
            continue;
        }
        if reader.next() != Some('=') {
            if name.is_empty() {
                continue;
            }
            return Err(wrong(&t!("no NAME=VALUE")));
        }
        let name = name.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).map_or(name, str::trim_start);
        let value = reader.value().map_err(|reason| wrong(&locale::reason(reason)))?;
        pairs.push((name.to_owned(), value));
    }
    Ok(pairs)
}

/// Characters that are more to a shell than themselves, outside quotes.
const OF_SHELLS: &str = "$`;&|<>()";

/// What is still to be read, and in which line that is.
struct Reader<'t> {
    rest: Peekable<Chars<'t>>,
    line: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    /// To the beginning of the next line.
    fn skip_line(&mut self) {
        while self.next().is_some_and(|c| c != '\n') {}
    }

    /// Blanks of a line; whether there were some.
    fn skip_blanks(&mut self) -> bool {
        let mut some = false;
        while self.rest.next_if(|c| *c != '\n' && c.is_whitespace()).is_some() {
            some = true;
        }
        some
    }

    /// What stands behind the `=`, to the end of its last line.
    fn value(&mut self) -> Result<String, &'static str> {
        match (self.skip_blanks(), self.rest.peek()) {
            (_, Some('\'' | '"')) => self.quoted(),
            (true, Some('#')) => {
                self.skip_line();
                Ok(String::new())
            }
            _ => Ok(self.bare()),
        }
    }

    /// A value that does not begin with a quote.
    fn bare(&mut self) -> String {
        let mut out = String::new();
        while let Some(c) = self.next().filter(|c| *c != '\n') {
            if c == '#' && out.ends_with(char::is_whitespace) {
                self.skip_line();
                break;
            }
            out.push(c);
        }
        out.truncate(out.trim_end().len());
        out
    }

    /// One that does.
    fn quoted(&mut self) -> Result<String, &'static str> {
        let mut out = String::new();
        loop {
            if self.skip_blanks() {
                // Of the next word nothing is the value's.
                return match self.next() {
                    None | Some('\n') => Ok(out),
                    Some('#') => {
                        self.skip_line();
                        Ok(out)
                    }
                    Some(_) => Err("something follows the value behind its quotes"),
                };
            }
            match self.next() {
                None | Some('\n') => return Ok(out),
                Some('\'') => self.single(&mut out)?,
                Some('"') => self.double(&mut out)?,
                Some('\\') => match self.next() {
                    None | Some('\n' | '\r') => return Err("a backslash ends the line"),
                    Some(c) => out.push(c),
                },
                Some(c) if OF_SHELLS.contains(c) => return Err("a character follows the quotes that is not itself to a shell"),
                Some(c) => out.push(c),
            }
        }
    }

    fn single(&mut self, out: &mut String) -> Result<(), &'static str> {
        loop {
            match self.next().ok_or(OPEN)? {
                '\'' => return Ok(()),
                c => out.push(c),
            }
        }
    }

    fn double(&mut self, out: &mut String) -> Result<(), &'static str> {
        loop {
            match self.next().ok_or(OPEN)? {
                '"' => return Ok(()),
                '\\' => match self.next().ok_or(OPEN)? {
                    'n' => out.push('\n'),
                    'r' => out.push('\r'),
                    't' => out.push('\t'),
                    // The line goes on.
                    '\n' => {}
                    c if "\"\\$`".contains(c) => out.push(c),
                    c => out.extend(['\\', c]),
                },
                c => out.push(c),
            }
        }
    }
}

const OPEN: &str = "a quote does not end";

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
    } else if !value.contains('\'') {
        let _ = write!(out, "'{value}'");
    } else {
        out.push('"');
        for c in value.chars() {
            if "\"\\$`".contains(c) {
                out.push('\\');
            }
            out.push(c);
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

    #[test]
    fn values_are_those_of_a_shell_or_refused_and_never_cut() {
        for (line, expected) in [
            (r"P='it'\''s-long'", "it's-long"),
            ("Q=\"a\"b", "ab"),
            ("Q='a'\"b\"c # d", "abc"),
            ("Q='x'#y", "x#y"),
            ("R= # none", ""),
            ("R=#none", "#none"),
            ("N=x\t# remark", "x"),
            ("N=x y # z", "x y"),
            ("M='l1\nl2'", "l1\nl2"),
            ("M=\"l1\n'l2'\\\nl3\"", "l1\n'l2'l3"),
            (r#"W="C:\dir\new""#, "C:\\dir\new"),
            (r"W=C:\new", r"C:\new"),
            ("export\tX=1", "1"),
            ("C='a'\r", "a"),
            ("C=a\r", "a"),
        ] {
            assert_eq!(parse(line).expect(line)[0].1, expected, "{line}");
        }
        for (text, reason) in [
            ("A=1\nB='x' y", "line 2: something follows the value behind its quotes"),
            ("A=1\nB='x';", "line 2: a character follows the quotes that is not itself to a shell"),
            ("A='x\ny'\n\nB=\"x", "line 4: a quote does not end"),
            ("A='1\n2'\nno", "line 3: no NAME=VALUE"),
            ("A='x'\\", "line 1: a backslash ends the line"),
        ] {
            assert_eq!(parse(text), Err(reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_shell_reads_what_is_written() {
        for value in ["l1\nl2", "it's\nlong\n", "a\\n$HOME `x` \"y\" 'z' !", " # ", "\r\n\t", "", "\\"] {
            let script = format!("{}printf %s \"$N\"", line("N", value));
            let ended = std::process::Command::new("/bin/sh").arg("-c").arg(&script).output().expect("a shell");
            assert_eq!(String::from_utf8_lossy(&ended.stdout), value, "{script}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in "[ -~\n\r\t'\"\\\\$`#é]{0,24}") {
            prop_assert_eq!(parse(&line("N", &value)), Ok(vec![("N".to_owned(), value)]));
        }
    }
}
