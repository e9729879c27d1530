//! Characters that only show, and make nothing that reads them do anything.
//!
//! Owns: which those are, and how others are written instead. Called by: output and logging, and the dialects for what people will read in
//! lists.

/// Whether a character shows something: no control (C0, C1, DEL), no separator of lines, and nothing that turns the direction of writing,
/// with which one text passes for another.
pub fn is_printable(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns && !matches!(c, '\u{2028}' | '\u{2029}')
}

/// A text as a terminal may be given it: what it would obey stands as it is written in Rust, `\u{1b}`; ends of lines and tabs stay.
pub fn seen(text: &str) -> String {
    shown_as(text, |c| matches!(c, '\n' | '\t') || is_printable(c))
}

/// The same for a text that is part of a line.
pub fn seen_in_line(text: &str) -> String {
    shown_as(text, is_printable)
}

fn shown_as(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if stays(c) { out.push(c) } else { out.extend(c.escape_default()) }
    }
    out
}

/// JSON in which what a terminal would obey, or what turns the direction of writing, is escaped: it means the same to programs, and
/// people look at it too.
pub fn json_seen(json: String) -> String {
    if json.chars().all(is_printable) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        // All of these have four digits at most, and stand in texts alone: JSON's own characters are printable.
        if is_printable(c) { out.push(c) } else { out += &format!("\\u{:04x}", u32::from(c)) }
    }
    out
}
