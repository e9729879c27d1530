//! The text of a file, whoever wrote it: a mark at its beginning is none of its words.

use zeroize::Zeroizing;

use super::locale::{self, t};

/// What some editors begin a file of UTF-8 with.
pub const MARK: &[u8] = b"\xef\xbb\xbf";

/// The text of a file's bytes, without a byte order mark.
///
/// # Errors
/// Where it is in another encoding; which, where its first bytes say so. Nothing of its content.
pub fn of(bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(t!("the text is UTF-16; save it as UTF-8").into_owned());
    }
    let content = bytes.strip_prefix(MARK).unwrap_or(&bytes);
    match std::str::from_utf8(content) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(e) => {
            let byte = bytes.len() - content.len() + e.valid_up_to();
            Err(t!("no UTF-8, from byte %{byte} on", byte = byte).into_owned())
        }
    }
}

/// A text that is one already, without that mark.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The text of a file.
///
/// # Errors
/// Where it cannot be read, or as [`of`].
pub fn of_file(file: &std::path::Path) -> Result<Zeroizing<String>, String> {
    of(Zeroizing::new(std::fs::read(file).map_err(|e| locale::os(&e))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_no_text_and_other_encodings_are_named() {
        let read = |bytes: &[u8]| of(Zeroizing::new(bytes.to_vec())).map(|text| text.to_string());
        assert_eq!(read(b"\xef\xbb\xbfA=1"), Ok("A=1".to_owned()));
        assert_eq!(read("A=ü".as_bytes()), Ok("A=ü".to_owned()));
        for utf_16 in [b"\xff\xfeA\0", b"\xfe\xff\0A"] {
            assert!(read(utf_16).is_err_and(|reason| reason.contains("UTF-16")));
        }
        assert_eq!(read(b"\xef\xbb\xbfA\xff"), Err("no UTF-8, from byte 4 on".to_owned()));
    }
}
