//! Bearer tokens: what callers show instead of a signature, each stored as a keyed hash alone.
//!
//! Owns: the rows of bearer_tokens, and the hash. Must not know: what a token looks like, how long it lives. Called by: auth.
//!
//! They are counted in parts of their account, by the first byte of the hash, so that a token that was revoked and put back is not
//! believed, and a login changes nothing about the account's other callers.

use aws_lc_rs::hmac;
use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccessKeyId, AccountId, UserId};
use crate::base::secret::wipe_stack;
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::bearer_tokens;
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{insert, load_each, one, remove, replace};
use crate::store::{Store, StoreError, Tx, expect_changed};

/// The keyed hash of a token, by which it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A digest as a row has it; none for what is none.
    pub fn stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = bearer_tokens, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(digest))]
pub struct BearerTokenRow {
    /// [`TokenDigest`].
    pub digest: Vec<u8>,
    /// The account.
    pub account_id: AccountId,
    /// Whose it is; none for the account's root.
    pub user_id: Option<UserId>,
    /// The access key that logged in; the token ends with it.
    pub access_key: Option<AccessKeyId>,
    /// What it is called where it must not stand itself.
    pub accessor: String,
    /// The login that gave it: `auth/approle/login`.
    pub login: String,
    /// What its maker calls it.
    pub label: String,
    /// The digest of the token with which it was made; it ends with that.
    pub parent: Option<Vec<u8>>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// How long it lives unless it is renewed, ms.
    pub ttl_ms: i64,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it ends however often it is renewed.
    pub max_at: Timestamp,
    /// Whether it can be renewed.
    pub renewable: bool,
}

impl BearerTokenRow {
    /// The digest, as what it is.
    pub fn token(&self) -> Option<TokenDigest> {
        TokenDigest::stored(&self.digest)
    }
}

impl Sealed for BearerTokenRow {
    const TABLE: &'static str = "bearer_tokens";

    fn name(&self) -> String {
        self.accessor.clone()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(&self.digest)
            .text(self.account_id.as_str())
            .optional(self.user_id.as_ref().map(|id| id.as_bytes().as_slice()))
            .optional(self.access_key.as_ref().map(|id| id.as_str().as_bytes()))
            .text(&self.accessor)
            .text(&self.login)
            .text(&self.label)
            .optional(self.parent.as_deref())
            .integer(self.issued_at.0)
            .integer(self.ttl_ms)
            .integer(self.expires_at.0)
            .integer(self.max_at.0)
            .integer(self.renewable.into())
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Tokens(self.account_id.clone(), self.digest.first().copied().unwrap_or_default()))
    }
}

impl Store {
    /// The hash by which a token is found; who has the database alone can neither make it nor guess a token by it.
    pub fn token_digest(&self, token: &[u8]) -> TokenDigest {
        let digest = keyed_hash(self.seals.tokens(), token);
        // The library moves its state, with the block that a token fits into, and leaves a copy where it was.
        wipe_stack();
        TokenDigest(digest)
    }
}

#[inline(never)]
fn keyed_hash(key: &hmac::Key, token: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(hmac::sign(key, token).as_ref());
    digest
}

impl Tx<'_> {
    /// Inserts a token.
    ///
    /// # Errors
    /// `Conflict` when it is there, or its account is not.
    pub fn bearer_token_insert(&mut self, row: &BearerTokenRow) -> Result<(), StoreError> {
        insert!(self, bearer_tokens, row)
    }

    /// The token with this hash.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify, or was put back.
    pub fn bearer_token(&mut self, digest: &TokenDigest) -> Result<Option<BearerTokenRow>, StoreError> {
        let query = bearer_tokens::table.find(digest.as_bytes().to_vec());
        one!(self, bearer_tokens: BearerTokenRow, query, |row| row.digest == digest.as_bytes())
    }

    /// The token that is called so.
    ///
    /// # Errors
    /// As [`Tx::bearer_token`].
    pub fn bearer_token_by_accessor(
        &mut self,
        account: &AccountId,
        accessor: &str,
    ) -> Result<Option<BearerTokenRow>, StoreError> {
        let query =
            bearer_tokens::table.filter(bearer_tokens::accessor.eq(accessor)).filter(bearer_tokens::account_id.eq(account));
        one!(self, bearer_tokens: BearerTokenRow, query, |row| row.accessor == accessor && row.account_id == *account)
    }

    /// The tokens of an account, oldest first; at most `limit`.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn bearer_tokens_of(&mut self, account: &AccountId, limit: i64) -> Result<Vec<BearerTokenRow>, StoreError> {
        let query = bearer_tokens::table
            .filter(bearer_tokens::account_id.eq(account))
            .order((bearer_tokens::issued_at, bearer_tokens::digest))
            .limit(limit);
        self.all(
            |row: &BearerTokenRow| row.account_id == *account,
            per_backend!(|conn| query.select((BearerTokenRow::as_select(), bearer_tokens::mac)).load(conn)),
        )
    }

    /// Puts `new` in the place of `old`, which was read in this transaction.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more.
    pub fn bearer_token_update(&mut self, old: &BearerTokenRow, new: &BearerTokenRow) -> Result<(), StoreError> {
        expect_changed(replace!(self, bearer_tokens, old => new, bearer_tokens::digest.eq(&old.digest))?, BearerTokenRow::TABLE)
    }

    /// Ends a token and those that were made with it; whether it was there. Here and below rows that do not verify are passed over: they let
    /// nobody in, and must keep no token from its end.
    ///
    /// # Errors
    /// As any write.
    pub fn bearer_token_end(&mut self, row: &BearerTokenRow) -> Result<bool, StoreError> {
        let mut ending = vec![row.digest.clone()];
        let was_there = remove!(self, bearer_tokens, row, bearer_tokens::digest.eq(&row.digest))?;
        while let Some(parent) = ending.pop() {
            let children = bearer_tokens::table.filter(bearer_tokens::parent.eq(&parent));
            let found = self.sifted(load_each!(children.select((BearerTokenRow::as_select(), bearer_tokens::mac))))?;
            for (child, _) in found.rows.into_iter().filter(|(child, _)| child.parent.as_ref() == Some(&parent)) {
                if remove!(self, bearer_tokens, &child, bearer_tokens::digest.eq(&child.digest))? {
                    ending.push(child.digest);
                }
            }
        }
        Ok(was_there)
    }

    /// Ends all tokens of an account for which this holds, and those that were made with them.
    ///
    /// # Errors
    /// As any write.
    pub fn bearer_tokens_end(&mut self, account: &AccountId, of: impl Fn(&BearerTokenRow) -> bool) -> Result<(), StoreError> {
        let theirs = bearer_tokens::table.filter(bearer_tokens::account_id.eq(account));
        let found = self.sifted(load_each!(theirs.select((BearerTokenRow::as_select(), bearer_tokens::mac))))?;
        let mut ending = found.rows.iter().map(|(row, _)| row).filter(|row| row.account_id == *account && of(row));
        ending.try_for_each(|row| self.bearer_token_end(row).map(drop))
    }

    /// Deletes up to `limit` tokens that ended before `now`, and what was made with them; how many they were.
    ///
    /// # Errors
    /// `Corrupt` where none of those that were found is there to be deleted; else as any write.
    pub fn bearer_tokens_sweep(&mut self, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
        let mut passed_over = 0;
        loop {
            let page = bearer_tokens::table
                .filter(bearer_tokens::expires_at.lt(now))
                .order((bearer_tokens::expires_at, bearer_tokens::digest))
                .offset(passed_over)
                .limit(limit);
            let found = self.sifted(load_each!(page.select((BearerTokenRow::as_select(), bearer_tokens::mac))))?;
            if found.rows.is_empty() && found.strange > 0 {
                passed_over += limit;
                continue;
            }
            let mut ended = 0;
            for (row, _) in found.rows.iter().filter(|(row, _)| row.expires_at < now) {
                ended += usize::from(self.bearer_token_end(row)?);
            }
            return self.swept(BearerTokenRow::TABLE, found.rows.len(), ended);
        }
    }
}
