//! What is left out of the templates of new objects, since the token refuses to be told: for the deployment's row, and for people.
//!
//! Owns: what may be left out, in which order it is tried, and its text (docs/formats.md). Must not know: how it is found (see
//! `concessions`). Called by: `concessions`, `config`; app and admin, which keep the text.

use std::fmt;

use cryptoki::object::AttributeType;

/// What a template does without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Concession {
    /// This attribute is not named, whichever its value.
    Without(AttributeType),
    /// CKA_PRIVATE of public halves is not named.
    PublicUnsaid,
    /// CKA_PRIVATE of public halves is true.
    PublicPrivate,
}

/// In this order: first what the fewest tokens know.
pub(super) const ORDER: [Concession; 19] = [
    Concession::Without(AttributeType::SignRecover),
    Concession::Without(AttributeType::VerifyRecover),
    Concession::Without(AttributeType::Copyable),
    Concession::Without(AttributeType::Derive),
    Concession::PublicUnsaid,
    Concession::PublicPrivate,
    Concession::Without(AttributeType::Wrap),
    Concession::Without(AttributeType::Unwrap),
    Concession::Without(AttributeType::Encrypt),
    Concession::Without(AttributeType::Decrypt),
    Concession::Without(AttributeType::Sign),
    Concession::Without(AttributeType::Verify),
    Concession::Without(AttributeType::PublicExponent),
    Concession::Without(AttributeType::Modifiable),
    Concession::Without(AttributeType::KeyType),
    Concession::Without(AttributeType::Class),
    Concession::Without(AttributeType::Sensitive),
    Concession::Without(AttributeType::Extractable),
    Concession::Without(AttributeType::ValueLen),
];

impl Concession {
    /// In the text.
    fn word(self) -> String {
        match self {
            Concession::Without(attribute) => attribute.to_string(),
            Concession::PublicUnsaid => "CKA_PRIVATE".to_owned(),
            Concession::PublicPrivate => "CKA_PRIVATE=true".to_owned(),
        }
    }

    /// For people.
    fn name(self) -> String {
        match self {
            Concession::Without(attribute) => attribute.to_string(),
            Concession::PublicUnsaid | Concession::PublicPrivate => "CKA_PRIVATE = false of public keys".to_owned(),
        }
    }
}

/// The call that makes an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// C_GenerateKey.
    Key,
    /// C_GenerateKeyPair.
    Pair,
    /// C_UnwrapKey.
    Unwrap,
    /// C_CreateObject.
    Create,
}

impl Maker {
    /// All; what is left out of each stands at its position.
    const ALL: [Maker; 4] = [Maker::Key, Maker::Pair, Maker::Unwrap, Maker::Create];

    fn word(self) -> &'static str {
        match self {
            Maker::Key => "C_GenerateKey",
            Maker::Pair => "C_GenerateKeyPair",
            Maker::Unwrap => "C_UnwrapKey",
            Maker::Create => "C_CreateObject",
        }
    }

    /// What this call may be asked without. What bytes become is said by nothing but the template; a mechanism that makes a key says
    /// that too.
    pub(super) fn may_do_without(self, concession: Concession) -> bool {
        let essential = [AttributeType::KeyType, AttributeType::Class, AttributeType::ValueLen];
        match self {
            Maker::Key | Maker::Pair => true,
            Maker::Unwrap | Maker::Create => !essential.map(Concession::Without).contains(&concession),
        }
    }
}

/// What is left out of the templates of each call. As a text: `C_GenerateKey/CKA_COPYABLE C_GenerateKeyPair/CKA_COPYABLE`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut([Vec<Concession>; Maker::ALL.len()]);

impl LeftOut {
    /// Reads the text. What this program does not know is passed over: it is found by trying, as by a program that was told nothing.
    pub fn read(text: &str) -> Self {
        let mut read = Self::default();
        for (call, word) in text.split(' ').filter_map(|entry| entry.split_once('/')) {
            let maker = Maker::ALL.into_iter().find(|maker| maker.word() == call);
            let concession = ORDER.into_iter().find(|concession| concession.word() == word);
            if let (Some(maker), Some(concession)) = (maker, concession)
                && maker.may_do_without(concession)
            {
                read.add(maker, concession);
            }
        }
        read
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for maker in Maker::ALL {
            other.of(maker).iter().for_each(|one| self.add(maker, *one));
        }
        self
    }

    /// For people: `CKA_COPYABLE`. Of calls that differ, what any is without.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = ORDER.into_iter().filter(|one| self.any(*one)).map(Concession::name).collect();
        names.dedup();
        names
    }

    /// What this call is without, in the order in which it was found.
    pub(super) fn of(&self, maker: Maker) -> &[Concession] {
        &self.0[maker as usize]
    }

    pub(super) fn set(&mut self, maker: Maker, without: Vec<Concession>) {
        self.0[maker as usize] = without;
    }

    pub(super) fn add(&mut self, maker: Maker, concession: Concession) {
        let of = &mut self.0[maker as usize];
        if !of.contains(&concession) {
            of.push(concession);
        }
    }

    /// Whether any call is without it.
    pub(super) fn any(&self, concession: Concession) -> bool {
        self.0.iter().flatten().any(|one| *one == concession)
    }
}

/// The text, which [`LeftOut::read`] reads.
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = Maker::ALL.into_iter().flat_map(|maker| self.of(maker).iter().map(move |one| (maker, *one)));
        for (at, (maker, concession)) in entries.enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{}/{}", maker.word(), concession.word())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_all_and_what_is_unknown_is_passed_over() {
        let mut all = LeftOut::default();
        for maker in Maker::ALL {
            for concession in ORDER.into_iter().filter(|one| maker.may_do_without(*one)) {
                all.add(maker, concession);
            }
        }
        assert_eq!(LeftOut::read(&all.to_string()), all);
        assert_eq!(LeftOut::read(""), LeftOut::default());
        let some = LeftOut::read(
            "C_GenerateKey/CKA_COPYABLE C_GenerateKey/CKA_ID C_Sign/CKA_WRAP CKA_WRAP C_GenerateKeyPair/CKA_PRIVATE=true \
             C_UnwrapKey/CKA_KEY_TYPE C_GenerateKey/CKA_COPYABLE",
        );
        assert_eq!(some.to_string(), "C_GenerateKey/CKA_COPYABLE C_GenerateKeyPair/CKA_PRIVATE=true");
        assert_eq!(some.names(), ["CKA_COPYABLE", "CKA_PRIVATE = false of public keys"]);
    }
}
