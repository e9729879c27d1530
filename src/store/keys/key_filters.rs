//! Which keys of an account a list shows.
//!
//! Owns: the conditions of ListKeys as queries. Must not know: how callers write them. Called by: keys.

use diesel::prelude::*;

use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, Alias, KeyId};
use crate::base::words::KeyState;
use crate::store::engine::connection::Conn;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::{aliases, keys, tags};
use crate::store::engine::tx::ANOTHER_QUESTION;
use crate::store::{AliasRow, KeyRow, StoreError, TagRow, Tagged, Tx};

/// States of keys that no caller sees.
const HIDDEN: [KeyState; 2] = [KeyState::Creating, KeyState::Deleted];

/// States of keys that wait for an import once their material expires.
const WITH_MATERIAL: [KeyState; 2] = [KeyState::Enabled, KeyState::Disabled];

/// One condition on keys: any of its values fits; an empty list fits nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyCondition {
    /// The key's id.
    Id(Vec<KeyId>),
    /// The key's state at this time, as text, like the three that follow: words that this service does not have fit no key.
    State(Vec<String>, Timestamp),
    /// Its spec.
    Spec(Vec<String>),
    /// Its use.
    Usage(Vec<String>),
    /// Its level.
    Protection(Vec<String>),
    /// Whether the service made it.
    Service(Vec<bool>),
    /// One of its aliases.
    Alias(Vec<Alias>),
    /// The key of one of its tags.
    TagKey(Vec<String>),
    /// The value of one of its tags.
    TagValue(Vec<String>),
    /// Key and value of one of its tags.
    Tag(Vec<String>, Vec<String>),
    /// The instance that its maker named.
    KmsInstance(Vec<String>),
}

impl KeyCondition {
    /// Whether a key's tags tell if it fits.
    fn is_of_tags(&self) -> bool {
        matches!(self, KeyCondition::TagKey(_) | KeyCondition::TagValue(_) | KeyCondition::Tag(..))
    }
}

type Selection<'a> = keys::BoxedQuery<'a, <Conn as Connection>::Backend>;

/// The tags of an account. Ids never recur, so those of secrets select no key.
#[diesel::dsl::auto_type]
fn tagged<'a>(account: &'a AccountId) -> _ {
    tags::table.filter(tags::account_id.eq(account))
}

/// The keys of an account that fit every condition.
fn selection<'a>(account: &'a AccountId, conditions: &'a [KeyCondition]) -> Selection<'a> {
    let all = keys::table.filter(keys::account_id.eq(account)).filter(keys::state.ne_all(HIDDEN)).into_boxed();
    conditions.iter().fold(all, |found, condition| match condition {
        KeyCondition::Id(ids) => found.filter(keys::id.eq_any(ids)),
        KeyCondition::State(words, at) => {
            // As `KeyRow::state_at` has it.
            let lasts = keys::material_expires_at.is_null().or(keys::material_expires_at.gt(*at).assume_not_null());
            let stored = keys::state.eq_any(words).and(lasts.or(keys::state.ne_all(WITH_MATERIAL)));
            let over = keys::material_expires_at.is_not_null().and(keys::material_expires_at.le(*at).assume_not_null());
            if words.iter().any(|word| word == KeyState::PendingImport.as_str()) {
                found.filter(stored.or(keys::state.eq_any(WITH_MATERIAL).and(over)))
            } else {
                found.filter(stored)
            }
        }
        KeyCondition::Spec(words) => found.filter(keys::spec.eq_any(words)),
        KeyCondition::Usage(words) => found.filter(keys::usage.eq_any(words)),
        KeyCondition::Protection(words) => found.filter(keys::protection.eq_any(words)),
        KeyCondition::Service(values) => found.filter(keys::service.eq_any(values)),
        KeyCondition::Alias(names) => {
            let named = aliases::table.filter(aliases::account_id.eq(account)).filter(aliases::name.eq_any(names));
            found.filter(keys::id.eq_any(named.select(aliases::key_id)))
        }
        KeyCondition::TagKey(names) => {
            found.filter(keys::id.eq_any(tagged(account).filter(tags::tag_key.eq_any(names)).select(tags::resource_id)))
        }
        KeyCondition::TagValue(values) => {
            found.filter(keys::id.eq_any(tagged(account).filter(tags::tag_value.eq_any(values)).select(tags::resource_id)))
        }
        KeyCondition::Tag(names, values) => {
            let on_one = tagged(account).filter(tags::tag_key.eq_any(names)).filter(tags::tag_value.eq_any(values));
            found.filter(keys::id.eq_any(on_one.select(tags::resource_id)))
        }
        KeyCondition::KmsInstance(ids) => found.filter(keys::kms_instance.eq_any(ids)),
    })
}

/// Whether a key is one of those, as far as its own columns tell.
fn fits(row: &KeyRow, account: &AccountId, conditions: &[KeyCondition]) -> bool {
    let is = |words: &[String], word: &str| words.iter().any(|w| w == word);
    row.account_id == *account
        && !HIDDEN.contains(&row.state)
        && conditions.iter().all(|condition| match condition {
            KeyCondition::Id(ids) => ids.contains(&row.id),
            KeyCondition::State(words, at) => is(words, row.state_at(*at).as_str()),
            KeyCondition::Spec(words) => is(words, row.spec.as_str()),
            KeyCondition::Usage(words) => is(words, row.usage.as_str()),
            KeyCondition::Protection(words) => is(words, row.protection.as_str()),
            KeyCondition::Service(values) => values.contains(&row.service),
            KeyCondition::Alias(_) | KeyCondition::TagKey(_) | KeyCondition::TagValue(_) | KeyCondition::Tag(..) => true,
            KeyCondition::KmsInstance(ids) => row.kms_instance.as_ref().is_some_and(|id| is(ids, id.as_str())),
        })
}

/// Whether a key that has these aliases and tags is one of those.
fn fits_beside(conditions: &[KeyCondition], aliases: &[AliasRow], tags: &[TagRow]) -> bool {
    conditions.iter().all(|condition| match condition {
        KeyCondition::Alias(names) => aliases.iter().any(|alias| names.contains(&alias.name)),
        KeyCondition::TagKey(names) => tags.iter().any(|tag| names.contains(&tag.tag_key)),
        KeyCondition::TagValue(values) => tags.iter().any(|tag| values.contains(&tag.tag_value)),
        KeyCondition::Tag(names, values) => {
            tags.iter().any(|tag| names.contains(&tag.tag_key) && values.contains(&tag.tag_value))
        }
        _ => true,
    })
}

impl Tx<'_> {
    /// A page of the keys of an account that fit every condition, oldest first, without those that no caller sees.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn keys_page(
        &mut self,
        account: &AccountId,
        conditions: &[KeyCondition],
        offset: i64,
        limit: i64,
    ) -> Result<Vec<KeyRow>, StoreError> {
        let query = selection(account, conditions).order((keys::created_at, keys::id)).offset(offset).limit(limit);
        let fits = |row: &KeyRow| fits(row, account, conditions);
        let found = self.all(fits, |conn| query.select((KeyRow::as_select(), keys::mac)).load(conn))?;
        let by_alias = conditions.iter().any(|condition| matches!(condition, KeyCondition::Alias(_)));
        let by_tag = conditions.iter().any(KeyCondition::is_of_tags);
        let mut rows = Vec::with_capacity(found.len());
        for row in found {
            let aliases = if by_alias { self.aliases_of_key(&row.id)? } else { Vec::new() };
            let tags = if by_tag { self.tags_of(Tagged::Key(row.id))? } else { Vec::new() };
            if !fits_beside(conditions, &aliases, &tags) {
                return Err(self.disbelieved(&row, ANOTHER_QUESTION));
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// How many keys [`Tx::keys_page`] goes through.
    ///
    /// # Errors
    /// As any read.
    pub fn key_count(&mut self, account: &AccountId, conditions: &[KeyCondition]) -> Result<i64, StoreError> {
        let query = selection(account, conditions);
        self.run(KeyRow::TABLE, |conn| query.count().get_result(conn))
    }
}
