//! Characters that only show, and make nothing that reads them do anything.
//!
//! Owns: which those are. Called by: output, and the dialects for what people will read in lists.

/// Whether a character shows something: no control (C0, C1, DEL), no separator of lines, and nothing that turns the direction of writing,
/// with which one text passes for another.
pub fn is_printable(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns && !matches!(c, '\u{2028}' | '\u{2029}')
}
