//! GetRandomPassword: passwords drawn from the token's random numbers.
//!
//! Owns: the alphabet and the draw. Must not know: HTTP, PKCS#11. Called by: api::secrets::get_random_password.
//! Source of the rules: the page of GetRandomPassword.
//!
//! Every password that the rules allow is equally likely. A character is drawn by throwing away the bytes that would favour the
//! first characters; a password without a class that it must have is thrown away as a whole, since putting a character of the class
//! in would favour passwords that have just one.

use zeroize::Zeroizing;

use crate::base::field::Field;
use crate::base::secret::Plaintext;
use crate::error::Error;
use crate::secrets::Secrets;

/// Random bytes asked for at a time.
const BLOCK: usize = 512;

/// Passwords thrown away before random numbers are taken for broken. The rules that fit worst (8 characters, three classes of one
/// character each) throw away about 130 on average.
const MOST_DRAWS: usize = 100_000;

/// A class of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `a-z`
    Lowercase,
    /// `A-Z`
    Uppercase,
    /// `0-9`
    Numbers,
    /// The 32 of ASCII.
    Punctuation,
}

impl Class {
    /// All.
    pub const ALL: [Class; 4] = [Class::Lowercase, Class::Uppercase, Class::Numbers, Class::Punctuation];

    fn has(self, c: u8) -> bool {
        match self {
            Class::Lowercase => c.is_ascii_lowercase(),
            Class::Uppercase => c.is_ascii_uppercase(),
            Class::Numbers => c.is_ascii_digit(),
            Class::Punctuation => c.is_ascii_punctuation(),
        }
    }
}

/// What a password is to be.
#[derive(Debug)]
pub struct PasswordRules {
    /// Characters in all.
    pub length: usize,
    /// Classes that it may have.
    pub classes: Vec<Class>,
    /// Characters that it must not have.
    pub excluded: String,
    /// Whether it must have each of the classes.
    pub each: bool,
}

impl Secrets {
    /// A random password.
    ///
    /// # Errors
    /// [`Error::Invalid`] when no password fits the rules; [`Error::Unavailable`] when the token is away.
    pub fn random_password(&self, rules: &PasswordRules) -> Result<Plaintext, Error> {
        draw(rules, |block| self.keys.random(block))
    }
}

/// What would be right.
const UNMET: &str = "Some character of each kind that is wanted must be left.";

fn draw(rules: &PasswordRules, fill: impl FnMut(&mut [u8]) -> Result<(), Error>) -> Result<Plaintext, Error> {
    let allowed = |class: Class| (b'!'..=b'~').filter(move |c| class.has(*c) && !rules.excluded.contains(char::from(*c)));
    let alphabet: Vec<u8> = rules.classes.iter().flat_map(|class| allowed(*class)).collect();
    let unmet = rules.each && rules.classes.iter().any(|class| allowed(*class).next().is_none());
    if alphabet.is_empty() || unmet {
        return Err(Error::invalid_since(Field::ExcludeCharacters, UNMET));
    }
    let mut bytes = Bytes { block: Zeroizing::new([0; BLOCK]), used: BLOCK, fill };
    let mut password = Zeroizing::new(Vec::with_capacity(rules.length));
    for _ in 0..MOST_DRAWS {
        password.clear();
        while password.len() < rules.length {
            if let Some(index) = index_of(bytes.next()?, alphabet.len()) {
                password.push(alphabet[index]);
            }
        }
        if !rules.each || rules.classes.iter().all(|class| password.iter().any(|c| class.has(*c))) {
            return Ok(Plaintext::new(std::mem::take(&mut *password)));
        }
    }
    Err(Error::Internal("random numbers give no password".into()))
}

/// The place in an alphabet of at most 256 that a random byte stands for; none for bytes of the last, incomplete round.
fn index_of(byte: u8, alphabet: usize) -> Option<usize> {
    let byte = usize::from(byte);
    (byte < 256 - 256 % alphabet).then_some(byte % alphabet)
}

/// Random bytes one at a time.
struct Bytes<F> {
    block: Zeroizing<[u8; BLOCK]>,
    used: usize,
    fill: F,
}

impl<F: FnMut(&mut [u8]) -> Result<(), Error>> Bytes<F> {
    fn next(&mut self) -> Result<u8, Error> {
        if self.used == BLOCK {
            (self.fill)(self.block.as_mut_slice())?;
            self.used = 0;
        }
        self.used += 1;
        Ok(self.block[self.used - 1])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers that repeat from run to run (SplitMix64).
    fn numbers(mut seed: u64) -> impl FnMut(&mut [u8]) -> Result<(), Error> {
        move |block| {
            for byte in block {
                seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                *byte = (z ^ (z >> 31)) as u8;
            }
            Ok(())
        }
    }

    fn rules(length: usize, classes: &[Class], excluded: &str, each: bool) -> PasswordRules {
        PasswordRules { length, classes: classes.to_vec(), excluded: excluded.to_owned(), each }
    }

    fn password(rules: &PasswordRules, numbers: impl FnMut(&mut [u8]) -> Result<(), Error>) -> String {
        String::from_utf8(draw(rules, numbers).expect("rules that fit").expose().to_vec()).expect("ASCII")
    }

    #[test]
    fn no_place_of_an_alphabet_is_favoured() {
        for alphabet in 1..=94 {
            let mut counts = vec![0; alphabet];
            (0..=255).filter_map(|byte| index_of(byte, alphabet)).for_each(|i| counts[i] += 1);
            assert!(counts.iter().all(|n| *n == 256 / alphabet), "{alphabet}");
        }
    }

    /// Of 8 characters, two classes of one character each: each place of the password must be as likely to have either.
    #[test]
    fn no_place_of_a_password_is_favoured() {
        let rules = rules(
            8,
            &[Class::Numbers, Class::Punctuation, Class::Lowercase],
            "012345678!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}",
            true,
        );
        let mut numbers = numbers(7);
        let (mut nines, mut tildes, mut more) = ([0; 8], [0; 8], 0);
        for _ in 0..4_000 {
            let drawn = password(&rules, &mut numbers);
            more += usize::from(drawn.matches('9').count() > 1);
            drawn.bytes().enumerate().for_each(|(i, c)| {
                nines[i] += usize::from(c == b'9');
                tildes[i] += usize::from(c == b'~');
            });
        }
        // Given one of each, 1/8 of 4,000 and a little more; six standard deviations are 130.
        for count in nines.iter().chain(&tildes) {
            assert!((430..700).contains(count), "{nines:?} {tildes:?}");
        }
        assert!(more > 200, "passwords with several are not left out: {more}");
    }

    #[test]
    fn rules_that_nothing_fits_are_refused() {
        let refused = |rules: &PasswordRules| {
            draw(rules, numbers(1)).map(drop) == Err(Error::invalid_since(Field::ExcludeCharacters, UNMET))
        };
        assert!(refused(&rules(8, &[], "", false)));
        assert!(refused(&rules(8, &[Class::Numbers], "0123456789", false)));
        let digits_gone = [Class::Numbers, Class::Lowercase];
        assert!(refused(&rules(8, &digits_gone, "0123456789", true)));
        assert!(!refused(&rules(8, &digits_gone, "0123456789", false)));
        assert_eq!(password(&rules(8, &[Class::Numbers], "123456789 ü", true), numbers(1)), "00000000");
    }

    #[test]
    fn broken_random_numbers_end_in_an_error() {
        let zeros = |block: &mut [u8]| {
            block.fill(0);
            Ok(())
        };
        assert!(matches!(draw(&rules(8, &Class::ALL, "", true), zeros), Err(Error::Internal(_))));
        let away = |_: &mut [u8]| Err(Error::Unavailable("token"));
        assert_eq!(draw(&rules(8, &Class::ALL, "", true), away).map(drop), Err(Error::Unavailable("token")));
    }

    proptest! {
        #[test]
        fn passwords_fit_their_rules(
            length in 8usize..=128,
            classes in prop::sample::subsequence(Class::ALL.to_vec(), 1..=4),
            excluded in "[ -~]{0,12}",
            each in any::<bool>(),
            seed in any::<u64>(),
        ) {
            let rules = rules(length, &classes, &excluded, each);
            let Ok(drawn) = draw(&rules, numbers(seed)) else { return Ok(()) };
            let drawn = drawn.expose();
            prop_assert_eq!(drawn.len(), length);
            prop_assert!(drawn.iter().all(|c| classes.iter().any(|class| class.has(*c)) && !excluded.contains(char::from(*c))));
            prop_assert!(!each || classes.iter().all(|class| drawn.iter().any(|c| class.has(*c))));
        }
    }
}
