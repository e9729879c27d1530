//! Bearer tokens: 256 random bits that a caller shows instead of a signature, for a time.
//!
//! Owns: what a token looks like, and when it is to be believed. Must not know: HTTP, how a login proved itself.
//! Called by: auth, api, the dialects that show one.
//!
//! A token stands nowhere but with its bearer: the database has its keyed hash, everything else its accessor. It speaks for a user, or the
//! account's root, with the policies that they have now, and ends with its time, with the access key that logged in, with its user and its
//! account, and when it is revoked: on every node within a second, as the credentials of access keys do.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::auth::principal::{AttachedPolicy, Principal, policies_of};
use crate::auth::system_key::SysKey;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccessKeyId, AccountId, UserId};
use crate::error::Error;
use crate::store::{Abort, BearerTokenRow, Store, TokenDigest, Tx};

/// How long a token lives that nothing else is said of, ms.
pub const DEFAULT_TTL_MS: i64 = 60 * 60 * 1000;

/// How long a token of a login lives at most, however often it is renewed, ms.
pub const MAX_TTL_MS: i64 = 24 * 60 * 60 * 1000;

/// What a token begins with; of the length of OpenBao's.
const PREFIX: &str = "s.";

/// Letters of a token behind its prefix: 43 × 6 bits hold 256.
const LENGTH: usize = 43;

/// Letters of an accessor.
const ACCESSOR_LENGTH: usize = 24;

/// 64 letters, so that one random byte gives one letter without bias.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The same for accessors, which people write behind commands: none may look like an option.
const OF_ACCESSORS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";

/// A token as it is shown. Wiped when dropped; no Debug, Clone or Serialize.
pub struct BearerToken(Zeroizing<String>);

impl BearerToken {
    /// What a caller shows; it need not be a token.
    pub fn shown(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    fn random(sys: &SysKey) -> Result<Self, Error> {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + LENGTH));
        text.push_str(PREFIX);
        text.push_str(&letters(sys, ALPHABET, LENGTH)?);
        Ok(Self(text))
    }

    /// The text, for its bearer alone.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// By what it is found.
    pub fn digest(&self, store: &Store) -> TokenDigest {
        store.token_digest(self.0.as_bytes())
    }
}

fn letters(sys: &SysKey, alphabet: &[u8; 64], count: usize) -> Result<Zeroizing<String>, Error> {
    let mut random = Zeroizing::new(vec![0u8; count]);
    sys.random(&mut random)?;
    Ok(Zeroizing::new(random.iter().map(|byte| char::from(alphabet[usize::from(byte & 63)])).collect()))
}

/// Who shows a token: what the database says of it, kept as credentials are.
pub struct Bearer {
    /// The token; it ends no later than those above it.
    pub row: BearerTokenRow,
    /// The tokens above it: that with which it was made, that with which that was made, and so on.
    pub(super) above: Vec<TokenDigest>,
    /// For whom it speaks.
    pub principal: Principal,
    /// Whether its account, its user and its access key are enabled.
    enabled: bool,
    /// The user's policies; none for root.
    pub(super) policies: Arc<[AttachedPolicy]>,
}

impl Bearer {
    /// The account.
    pub fn account(&self) -> &AccountId {
        &self.row.account_id
    }

    /// Whether it is to be believed now.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.enabled && now < self.row.expires_at
    }

    pub(super) fn read(tx: &mut Tx<'_>, digest: &TokenDigest) -> Result<Option<Self>, Abort<Error>> {
        let Some(row) = tx.bearer_token(digest)? else { return Ok(None) };
        let Some(Above { tokens: above, end }) = Above::of(tx, &row)? else { return Ok(None) };
        let row = BearerTokenRow { expires_at: row.expires_at.min(end), ..row };
        let Some(account) = tx.account_by_id(&row.account_id)? else { return Ok(None) };
        let mut enabled = account.enabled;
        if let Some(id) = &row.access_key {
            let key = tx.access_key_by_id(id)?;
            enabled &= key.is_some_and(|key| key.enabled && key.account_id == row.account_id && key.user_id == row.user_id);
        }
        let Some(user_id) = row.user_id else {
            return Ok(Some(Self { row, above, principal: Principal::Root, enabled, policies: Arc::new([]) }));
        };
        let Some(user) = tx.user_by_id(&user_id)?.filter(|user| user.account_id == row.account_id) else { return Ok(None) };
        enabled &= user.enabled;
        let policies = policies_of(tx, &row.account_id, &user_id)?.into();
        Ok(Some(Self { row, above, principal: Principal::User(user.name), enabled, policies }))
    }
}

/// The tokens above one, each made with the next. It lives no longer than the first of them to end, whatever its own row says: that may
/// be older than a renewal that brought the end of one above it nearer.
pub(super) struct Above {
    /// Their digests.
    pub tokens: Vec<TokenDigest>,
    /// When the first of them ends.
    pub end: Timestamp,
}

impl Above {
    /// Those above a token; none where one of them is gone, and it has ended with that.
    pub fn of(tx: &mut Tx<'_>, row: &BearerTokenRow) -> Result<Option<Self>, Abort<Error>> {
        let mut above = Self { tokens: Vec::new(), end: Timestamp(i64::MAX) };
        let mut next = row.parent.clone();
        while let Some(parent) = next {
            let digest = TokenDigest::stored(&parent);
            let found = match &digest {
                Some(digest) => tx.bearer_token(digest)?,
                None => None,
            };
            let (Some(digest), Some(found)) = (digest, found) else { return Ok(None) };
            above.tokens.push(digest);
            above.end = above.end.min(found.expires_at);
            next = found.parent;
        }
        Ok(Some(above))
    }
}

/// For whom a token is to speak, and how long.
pub struct NewToken {
    /// The account.
    pub account: AccountId,
    /// The user; none for root.
    pub user: Option<UserId>,
    /// The access key that it ends with.
    pub access_key: Option<AccessKeyId>,
    /// The login, as it is told: `auth/approle/login`.
    pub login: String,
    /// What its maker calls it.
    pub label: String,
    /// The token with which it is made.
    pub parent: Option<TokenDigest>,
    /// How long it lives unless it is renewed, ms.
    pub ttl_ms: i64,
    /// When it ends however often it is renewed.
    pub max_at: Timestamp,
    /// Whether it can be renewed.
    pub renewable: bool,
}

/// A new token and its row.
///
/// # Errors
/// [`Error::Unavailable`] when the token that makes random numbers is away.
pub fn make(store: &Store, sys: &SysKey, new: NewToken, now: Timestamp) -> Result<(BearerToken, BearerTokenRow), Error> {
    let token = BearerToken::random(sys)?;
    let row = BearerTokenRow {
        digest: token.digest(store).as_bytes().to_vec(),
        account_id: new.account,
        user_id: new.user,
        access_key: new.access_key,
        accessor: letters(sys, OF_ACCESSORS, ACCESSOR_LENGTH)?.to_string(),
        login: new.login,
        label: new.label,
        parent: new.parent.map(|digest| digest.as_bytes().to_vec()),
        issued_at: now,
        ttl_ms: new.ttl_ms,
        expires_at: now.plus_ms(new.ttl_ms).min(new.max_at),
        max_at: new.max_at,
        renewable: new.renewable,
    };
    Ok((token, row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_is_as_likely_and_no_accessor_looks_like_an_option() {
        for alphabet in [ALPHABET, OF_ACCESSORS] {
            assert_eq!(alphabet.iter().collect::<std::collections::BTreeSet<_>>().len(), 64);
        }
        assert!(!OF_ACCESSORS.contains(&b'-'));
    }
}
