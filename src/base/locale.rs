//! Which language people are spoken to in, and where its texts come from.
//!
//! Owns: what the locale's variables mean, the look-up. Must not know: what is said. Called by: main, and whoever speaks to people.
//!
//! English stands in the code, in [`t!`], and is the key of its translation in locales/zh-CN.yml; what has none is said in English. What
//! programs read (JSON, logs, what the library `bulla_client` says) is English whoever reads it.

use std::io;

pub use rust_i18n::t;

/// The file is a part of this file's build: rustc would not see that the texts have changed, nor that they are not there.
const _: &str = include_str!("../../locales/zh-CN.yml");

/// What the program speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Where nothing else is asked for.
    English,
    /// Simplified Chinese, to everybody who asks for Chinese.
    Chinese,
}

/// The variables of which the first that is set and not empty names the locale of messages (POSIX, 8.2).
const LOCALE: [&str; 3] = ["LC_ALL", "LC_MESSAGES", "LANG"];

impl Language {
    /// What this process's environment asks for.
    pub fn of_environment() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    /// What these variables ask for.
    ///
    /// GNU's LANGUAGE, a list of languages by preference, goes before the locale's own, unless that is C or POSIX. A terminal of another
    /// encoding than UTF-8 gets English, which it can show.
    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let locale = LOCALE.iter().find_map(|name| set(name)).unwrap_or_default();
        if matches!(tongue(&locale).as_str(), "" | "c" | "posix") || !is_utf8(&locale) {
            return Language::English;
        }
        let wanted = set("LANGUAGE").unwrap_or(locale);
        match wanted.split(':').map(tongue).find(|tongue| matches!(tongue.as_str(), "zh" | "en")) {
            Some(tongue) if tongue == "zh" => Language::Chinese,
            _ => Language::English,
        }
    }

    fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh-CN",
        }
    }
}

/// `zh` of zh_CN.UTF-8@x, zh-Hans, zh.
fn tongue(locale: &str) -> String {
    locale.split(['_', '-', '.', '@']).next().unwrap_or_default().to_ascii_lowercase()
}

/// Whether a locale names no other encoding.
fn is_utf8(locale: &str) -> bool {
    let codeset = locale.split_once('.').map(|(_, rest)| rest.split('@').next().unwrap_or_default().to_ascii_lowercase());
    codeset.is_none_or(|codeset| matches!(codeset.as_str(), "utf-8" | "utf8"))
}

/// Speaks it from now on.
pub fn speak(language: Language) {
    rust_i18n::set_locale(language.tag());
}

/// Whether English is spoken.
pub fn is_english() -> bool {
    *rust_i18n::locale() == *Language::English.tag()
}

/// The translation of a text that is no literal of the code: what stands in the table of commands, what others said.
pub fn text(english: &str) -> String {
    t!(english).into_owned()
}

/// A system's or a library's words, where they are among those that users meet; others stay as they are.
pub fn reason(foreign: impl std::fmt::Display) -> String {
    let words = foreign.to_string();
    if is_english() {
        return words;
    }
    // The number says no more than the words.
    let known = words.split(" (os error").next().unwrap_or(&words);
    // The library begins them with a small letter.
    FOREIGN.iter().find(|ours| ours.eq_ignore_ascii_case(known)).map_or(words, |ours| text(ours))
}

/// Why something of this host failed; the words of the system.
pub fn os(error: &io::Error) -> String {
    reason(error)
}

/// A subject, as a file or a secret, and what is the matter with it.
pub fn about(subject: impl std::fmt::Display, reason: impl std::fmt::Display) -> String {
    t!("%{subject}: %{reason}", subject = subject, reason = reason).into_owned()
}

/// Words that are not ours, and have a translation.
pub const FOREIGN: &[&str] = &[
    // strerror(3)
    "No such file or directory",
    "Permission denied",
    "Operation not permitted",
    "Is a directory",
    "Not a directory",
    "File exists",
    "No space left on device",
    "Read-only file system",
    "Disk quota exceeded",
    "Too many open files",
    "Input/output error",
    "Argument list too long",
    "Exec format error",
    "Text file busy",
    "Connection refused",
    "Connection reset by peer",
    "Connection timed out",
    "Network is unreachable",
    "No route to host",
    "Broken pipe",
    "Cannot allocate memory",
    "No such device or address",
    // Rust's library
    "stream did not contain valid UTF-8",
    "invalid digit found in string",
    "cannot parse integer from empty string",
    "number too large to fit in target type",
    // base::dotenv
    "something follows the value behind its quotes",
    "a backslash ends the line",
    "a character follows the quotes that is not itself to a shell",
    "a quote does not end",
    // base::whole_file
    "another process writes it",
    // bulla_client
    "no such host",
    "the name service does not answer",
    "no connection",
    "no answer in time",
    "the server does not speak Vault's API",
    "it is about another secret",
    "it is about another version",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_chooses() {
        use Language::{Chinese, English};
        let table: &[(&[(&str, &str)], Language)] = &[
            (&[], English),
            (&[("LANG", "zh_CN.UTF-8")], Chinese),
            (&[("LANG", "zh_CN.utf8")], Chinese),
            (&[("LANG", "zh_CN")], Chinese),
            (&[("LANG", "zh")], Chinese),
            (&[("LANG", "zh_SG.UTF-8@x")], Chinese),
            (&[("LANG", "zh-Hans-CN")], Chinese),
            (&[("LANG", "zh_TW.UTF-8")], Chinese),
            (&[("LANG", "zh_HK.UTF-8")], Chinese),
            (&[("LANG", "zh_CN.GBK")], English),
            (&[("LANG", "zh_CN.GB18030@x")], English),
            (&[("LANG", "zhx_CN.UTF-8")], English),
            (&[("LANG", "en_US.UTF-8")], English),
            (&[("LANG", "de_DE.UTF-8")], English),
            (&[("LANG", "C")], English),
            (&[("LANG", "POSIX")], English),
            (&[("LANG", "C.UTF-8")], English),
            (&[("LC_ALL", "C"), ("LANG", "zh_CN.UTF-8")], English),
            (&[("LC_ALL", ""), ("LANG", "zh_CN.UTF-8")], Chinese),
            (&[("LC_ALL", "zh_CN.UTF-8"), ("LC_MESSAGES", "C"), ("LANG", "en_US.UTF-8")], Chinese),
            (&[("LC_MESSAGES", "en_US.UTF-8"), ("LANG", "zh_CN.UTF-8")], English),
            (&[("LC_MESSAGES", "zh_CN.UTF-8"), ("LANG", "en_US.UTF-8")], Chinese),
            (&[("LC_CTYPE", "zh_CN.UTF-8"), ("LANG", "en_US.UTF-8")], English),
            (&[("LANGUAGE", "zh_CN:en"), ("LANG", "en_US.UTF-8")], Chinese),
            (&[("LANGUAGE", "de:zh_CN:en"), ("LANG", "en_US.UTF-8")], Chinese),
            (&[("LANGUAGE", "en:zh_CN"), ("LANG", "zh_CN.UTF-8")], English),
            (&[("LANGUAGE", "de"), ("LANG", "zh_CN.UTF-8")], English),
            (&[("LANGUAGE", ""), ("LANG", "zh_CN.UTF-8")], Chinese),
            (&[("LANGUAGE", "zh_CN")], English),
            (&[("LANGUAGE", "zh_CN"), ("LC_ALL", "C")], English),
            (&[("LANGUAGE", "zh_CN"), ("LC_ALL", "C.UTF-8")], English),
            (&[("LANGUAGE", "zh_CN"), ("LANG", "en_US.ISO-8859-1")], English),
        ];
        for (variables, expected) in table {
            let of = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(Language::of(of), *expected, "{variables:?}");
        }
    }

    #[test]
    fn what_has_no_translation_is_english() {
        assert_eq!(t!("no such text: %{x}", locale = "zh-CN", x = "%{x}"), "no such text: %{x}");
        assert_eq!(t!("Permission denied", locale = "zh-CN"), "权限不够");
        assert_eq!(reason("Permission denied (os error 13)"), "Permission denied (os error 13)", "English is as it was");
    }
}
