//! In which digest a row is counted.
//!
//! Owns: the names of the sets. Must not know: SQL, tables. Called by: the files of the rows, tx, the ledger.

use std::fmt;

use crate::base::ids::{AccountId, KeyId, SecretId, UserId};

/// Where a row is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// Nowhere: nobody's rights and no value depend on it.
    Nowhere,
    /// In who may do what.
    In(Scope),
    /// In a part of the secrets, by the secret's id.
    Part(SecretId),
    /// In the content of the secret that it belongs to.
    Child(SecretId, Child),
}

/// A set of rows that says what somebody may do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// What an account has for all its callers: itself, its root's access keys, policies, access points.
    Account(AccountId),
    /// The policies of an account's single keys and secrets.
    Policies(AccountId),
    /// A user, its access keys and attachments.
    User(AccountId, UserId),
    /// Bearer tokens of an account: those whose digest begins with this byte.
    Tokens(AccountId, u8),
    /// A key and all that belongs to it.
    Key(KeyId),
}

/// What belongs to a secret, each kind with a sum of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// Its labels.
    Label,
    /// Its versions.
    Version,
    /// Its tags.
    Tag,
    /// How it is rotated.
    Rotation,
}

/// The scope of the row that counts all others.
pub(in crate::store) const ROOT: &[u8] = b"r";

impl Scope {
    /// Whether a key is one of tokens.
    pub(in crate::store) fn is_of_tokens(key: &[u8]) -> bool {
        key.first() == Some(&b't')
    }

    /// The primary key of its digest: a letter, and ids of which the first have a fixed length.
    pub(in crate::store) fn key(&self) -> Vec<u8> {
        match self {
            Scope::Account(id) => [b"a", id.as_str().as_bytes()].concat(),
            Scope::Policies(id) => [b"p", id.as_str().as_bytes()].concat(),
            Scope::User(account, id) => [b"u".as_slice(), id.as_bytes(), account.as_str().as_bytes()].concat(),
            Scope::Tokens(account, part) => [&[b't', *part], account.as_str().as_bytes()].concat(),
            Scope::Key(id) => [b"k".as_slice(), id.as_bytes()].concat(),
        }
    }

    /// From that key.
    pub(in crate::store) fn of(key: &[u8]) -> Option<Self> {
        let account = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse().ok();
        match key.split_first()? {
            (b'a', rest) => account(rest).map(Scope::Account),
            (b'p', rest) => account(rest).map(Scope::Policies),
            (b'u', rest) => {
                let (id, rest) = rest.split_first_chunk::<16>()?;
                Some(Scope::User(account(rest)?, UserId::from_bytes(*id)))
            }
            (b't', rest) => {
                let (part, rest) = rest.split_first()?;
                Some(Scope::Tokens(account(rest)?, *part))
            }
            (b'k', rest) => Some(Scope::Key(KeyId::from_bytes(rest.try_into().ok()?))),
            _ => None,
        }
    }

    /// Whether it is about callers.
    pub(in crate::store) fn is_of_callers(&self) -> bool {
        !matches!(self, Scope::Key(_))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Account(id) => write!(f, "account {id}"),
            Scope::Policies(id) => write!(f, "the policies of single keys and secrets of account {id}"),
            Scope::User(account, id) => write!(f, "user {id} of account {account}"),
            Scope::Tokens(id, part) => write!(f, "tokens {part:02x}… of account {id}"),
            Scope::Key(id) => write!(f, "key {id}"),
        }
    }
}

/// The last of the parts, which are numbered from 0.
pub(in crate::store) const LAST_PART: i16 = 255;

/// The part of the secrets that one belongs to.
pub(in crate::store) fn part_of(secret: &SecretId) -> u8 {
    secret.as_bytes()[0]
}

/// The first and the last id of a part.
pub(in crate::store) fn range(part: u8) -> ([u8; 16], [u8; 16]) {
    let (mut from, mut to) = ([0; 16], [0xff; 16]);
    (from[0], to[0]) = (part, part);
    (from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        let account = AccountId::random();
        let (user, tokens) = (Scope::User(account.clone(), UserId::new()), Scope::Tokens(account.clone(), 0xfe));
        for scope in [Scope::Account(account.clone()), Scope::Policies(account), user, tokens, Scope::Key(KeyId::new())] {
            assert_eq!(Scope::of(&scope.key()), Some(scope));
        }
        for strange in [ROOT, b"", b"a", b"k123", b"u", b"x"] {
            assert_eq!(Scope::of(strange), None);
        }
    }
}
