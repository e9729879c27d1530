//! The parameters of a request: query and body, decoded once into one list, and read from there into request structs.
//!
//! Owns: percent-decoding, form and JSON bodies, the list. Must not know: which parameters there are, what they mean.
//! Called by: door (requests), signature (what was signed).

mod decode;
mod json;
mod node;
#[cfg(test)]
mod tests;

use zeroize::{Zeroize, Zeroizing};

use std::borrow::Cow;

use crate::error::{Error, Unreadable};

/// Most parameters that a request may have. The largest of the API (20 tags, flattened) has fewer than 100.
pub const MAX_PARAMETERS: usize = 1_000;

/// What is said of names and values that are not UTF-8, each by itself.
const NOT_UTF8: Error = Error::MalformedRequest("Names and values must be UTF-8.");

/// A parameter that is needed and absent, by its full name.
pub(super) fn absent(part: Cow<'static, str>) -> Error {
    Error::Unreadable(Unreadable { part, absent: true, why: "".into() })
}

/// A parameter whose value does not fit, by its full name.
pub(super) fn invalid(part: Cow<'static, str>) -> Error {
    invalid_since(part, "")
}

/// The same with a sentence that says what would be right.
pub(super) fn invalid_since(part: Cow<'static, str>, why: impl Into<Cow<'static, str>>) -> Error {
    Error::Unreadable(Unreadable { part, absent: false, why: why.into() })
}

/// All parameters of a request, decoded. Values can be secret: there is no `Debug`, and dropping wipes them.
pub struct Params {
    list: List,
    /// How many pairs, from the first, came in the query.
    in_query: usize,
}

/// Decoded pairs. All text lies in one string of enough capacity from the start: it never moves, so wiping it leaves no copy.
struct List {
    text: Zeroizing<String>,
    pairs: Vec<Pair>,
}

/// Where a pair lies in the text: its name from `start` to `middle`, its value from there to `end`.
struct Pair {
    start: usize,
    middle: usize,
    end: usize,
}

impl Params {
    /// Takes query and body together. A body without a content type is a form.
    ///
    /// # Errors
    /// [`Error::MalformedRequest`] on a broken escape, text that is not UTF-8, more than [`MAX_PARAMETERS`] parameters, a body
    /// that is no JSON object though it says so, and a body of any other content type.
    pub fn parse(query: &str, content_type: Option<&str>, body: &[u8]) -> Result<Self, Error> {
        let mut reading = Reading::with_capacity(query.len() + body.len());
        reading.form(query.as_bytes())?;
        let in_query = reading.pairs.len();
        if !body.is_empty() {
            let media_type = content_type.unwrap_or("application/x-www-form-urlencoded");
            let media_type = media_type.split_once(';').map_or(media_type, |(essence, _)| essence).trim();
            if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
                reading.form(body)?;
            } else if media_type.eq_ignore_ascii_case("application/json") {
                json::read_object(body, &mut reading)?;
            } else {
                return Err(Error::MalformedRequest(
                    "The body must be of the type application/x-www-form-urlencoded or application/json.",
                ));
            }
        }
        Ok(Self { list: reading.finish()?, in_query })
    }

    /// All pairs in order of arrival, the query's before the body's.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter()
    }

    /// The pairs of the query alone.
    pub fn query(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().take(self.in_query)
    }

    /// The one value of a parameter, none if it was not sent or is empty.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if it was sent with two different values.
    pub fn single(&self, name: &'static str) -> Result<Option<&str>, Error> {
        let mut values = self.iter().filter(|(n, _)| *n == name).map(|(_, value)| value);
        let first = values.next();
        if values.any(|value| Some(value) != first) {
            return Err(invalid_since(name.into(), "It must be given once, or with the same value each time."));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }

    /// Whether a parameter says true; false if it was not sent or is empty.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if it says anything but true or false, in any letter case.
    pub fn flag(&self, name: &'static str) -> Result<bool, Error> {
        match self.single(name)? {
            None => Ok(false),
            Some(yes) if yes.eq_ignore_ascii_case("true") => Ok(true),
            Some(no) if no.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(invalid_since(name.into(), "It is true or false.")),
        }
    }

    /// Reads a request struct. Only the parameters that it names are looked at; how they are written is the table that begins
    /// the module `decode`.
    ///
    /// # Errors
    /// [`Error::Unreadable`] with the full wire name (`Tag.1.Key`), never the value.
    pub fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        decode::decode(self.iter().collect())
    }
}

impl List {
    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|p| (&self.text[p.start..p.middle], &self.text[p.middle..p.end]))
    }
}

/// A list while it is read: bytes that are not yet known to be UTF-8.
struct Reading {
    text: Zeroizing<Vec<u8>>,
    pairs: Vec<Pair>,
}

impl Reading {
    /// Decoded text is never longer than its source, so the source's length is capacity enough.
    fn with_capacity(bytes: usize) -> Self {
        Self { text: Zeroizing::new(Vec::with_capacity(bytes)), pairs: Vec::with_capacity(16) }
    }

    /// Adds a pair; the two functions write name and value.
    fn pair(
        &mut self,
        name: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>,
        value: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.pairs.len() == MAX_PARAMETERS {
            return Err(Error::MalformedRequest("It may have at most 1000 parameters."));
        }
        let start = self.text.len();
        name(&mut self.text)?;
        let middle = self.text.len();
        value(&mut self.text)?;
        self.pairs.push(Pair { start, middle, end: self.text.len() });
        Ok(())
    }

    /// Adds the pairs of an `application/x-www-form-urlencoded` text. A name without `=` has an empty value.
    fn form(&mut self, source: &[u8]) -> Result<(), Error> {
        for pair in source.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let equals = pair.iter().position(|b| *b == b'=');
            let (name, value) = equals.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
            self.pair(|out| percent_decode(name, out), |out| percent_decode(value, out))?;
        }
        Ok(())
    }

    /// The whole must be UTF-8, and so must each name and each value: no character may lie across a border.
    fn finish(mut self) -> Result<List, Error> {
        let text = String::from_utf8(std::mem::take(&mut *self.text)).map(Zeroizing::new).map_err(|refused| {
            refused.into_bytes().zeroize();
            NOT_UTF8
        })?;
        let whole = |p: &Pair| text.is_char_boundary(p.start) && text.is_char_boundary(p.middle);
        if !self.pairs.iter().all(whole) {
            return Err(NOT_UTF8);
        }
        Ok(List { text, pairs: self.pairs })
    }
}

/// Undoes form encoding: `+` is a space, `%XX` a byte in either letter case.
fn percent_decode(source: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let mut rest = source.iter();
    while let Some(&byte) = rest.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => match (rest.next().and_then(hex_digit), rest.next().and_then(hex_digit)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(Error::MalformedRequest("A % must stand before two hexadecimal digits.")),
            },
            other => other,
        });
    }
    Ok(())
}

fn hex_digit(byte: &u8) -> Option<u8> {
    // A hexadecimal digit is below 16.
    char::from(*byte).to_digit(16).map(|digit| digit as u8)
}
