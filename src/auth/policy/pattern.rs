//! Wildcard patterns: `*` stands for any number of characters, none included, `?` for exactly one.
//!
//! Owns: matching. `*` crosses `/` and `:`. There is no escape. Called by: policy, condition.

/// A pattern, sorted by how much work it takes to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `*`.
    Anything,
    /// No wildcard.
    Exact(Box<str>),
    /// One `*`, at the end; the text before it.
    Prefix(Box<str>),
    /// Everything else.
    Wild(Box<str>),
}

/// Compares two bytes.
type SameByte = fn(u8, u8) -> bool;

fn exactly(a: u8, b: u8) -> bool {
    a == b
}

fn ignoring_case(a: u8, b: u8) -> bool {
    a.eq_ignore_ascii_case(&b)
}

/// As it was written.
impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pattern::Anything => f.write_str("*"),
            Pattern::Exact(text) | Pattern::Wild(text) => f.write_str(text),
            Pattern::Prefix(start) => write!(f, "{start}*"),
        }
    }
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let wildcard = |c| c == '*' || c == '?';
        match text.strip_suffix('*') {
            Some("") => Pattern::Anything,
            Some(start) if !start.contains(wildcard) => Pattern::Prefix(start.into()),
            None if !text.contains(wildcard) => Pattern::Exact(text.into()),
            _ => Pattern::Wild(text.into()),
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.matches_with(text, exactly)
    }

    /// Case matters in no ASCII letter.
    pub(super) fn matches_ignoring_case(&self, text: &str) -> bool {
        self.matches_with(text, ignoring_case)
    }

    fn matches_with(&self, text: &str, same: SameByte) -> bool {
        let text = text.as_bytes();
        let begins = |start: &[u8]| text.len() >= start.len() && start.iter().zip(text).all(|(a, b)| same(*a, *b));
        match self {
            Pattern::Anything => true,
            Pattern::Exact(whole) => text.len() == whole.len() && begins(whole.as_bytes()),
            Pattern::Prefix(start) => begins(start.as_bytes()),
            Pattern::Wild(pattern) => wild(pattern.as_bytes(), text, same),
        }
    }
}

/// Length of the UTF-8 character that begins with this byte.
fn character_len(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

/// Matches without recursion: only the last `*` met is ever widened, because what an earlier one could take over, the last one
/// can take as well. Linear for usual patterns; at worst the text's length times the length between two stars; no memory.
fn wild(pattern: &[u8], text: &[u8], same: SameByte) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where matching goes on if it fails: behind the last star, and the text which that star has not swallowed yet.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((p, t));
            }
            Some(b'?') => {
                p += 1;
                t += character_len(text[t]);
            }
            Some(byte) if same(*byte, text[t]) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((after_star, from)) = retry else { return false };
                t = from + character_len(text[from]);
                p = after_star;
                retry = Some((p, t));
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word for word; exponential.
    fn model(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            (['*', rest @ ..], _) => (0..=text.len()).any(|taken| model(rest, &text[taken..])),
            (['?', rest @ ..], [_, tail @ ..]) => model(rest, tail),
            ([c, rest @ ..], [d, tail @ ..]) => c == d && model(rest, tail),
            _ => false,
        }
    }

    #[test]
    fn examples() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("*", "acs:kms:r:1:secret/a", true),
            ("acs:kms:*:*:secret*", "acs:kms:r:1:secret", true),
            ("acs:kms:*:*:secret*", "acs:kms:r:1:secret/a/b", true),
            ("acs:kms:*:*:secret/*", "acs:kms:r:1:secret", false),
            ("acs:kms:*:*:secret/*", "acs:kms:r:1:secret/a/b", true),
            ("acs:kms:*:*:secret/*", "acs:kms:r:1:key/secret", false),
            ("acs:kms:r:1:secret/A", "acs:kms:r:1:secret/a", false),
            ("db-?", "db-数", true),
            ("db-?", "db-12", false),
            ("db-?", "db-", false),
            ("*数?", "xx数据", true),
            ("*?", "", false),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), matches, "{pattern} on {text}");
        }
        assert!(Pattern::new("kms:get*value").matches_ignoring_case("kms:GetSecretValue"));
        assert!(!Pattern::new("kms:get*value").matches("kms:GetSecretValue"));
    }

    /// A pattern that takes a backtracking matcher longer than the age of the universe.
    #[test]
    fn many_stars_are_no_trap() {
        let pattern = Pattern::new(&"*a".repeat(1000));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(2000))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn agrees_with_the_definition(pattern in "[ab数*?]{0,8}", text in "[ab数]{0,8}") {
            let chars = |s: &str| s.chars().collect::<Vec<_>>();
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), model(&chars(&pattern), &chars(&text)));
        }

        #[test]
        fn case_is_ignored_where_told(pattern in "[aAbB*?]{0,8}", text in "[aAbB]{0,8}") {
            let chars = |s: &str| s.to_lowercase().chars().collect::<Vec<_>>();
            prop_assert_eq!(Pattern::new(&pattern).matches_ignoring_case(&text), model(&chars(&pattern), &chars(&text)));
        }
    }
}
