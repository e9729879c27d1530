//! Secrets: everything about them but their values.
//!
//! Owns: the rows of secrets. Must not know: keys' states, encryption. Called by: secrets, jobs.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId, KmsInstanceId, SecretId, SecretName, SecretNamePrefix};
use crate::base::words::{ResourceType, SecretType};
use crate::store::engine::connection::{Backend, per_backend};
use crate::store::engine::content::Content;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::{secret_versions, secrets, tags};
use crate::store::engine::scope::Counted;
use crate::store::engine::statements::{each_due, insert, one, remove};
use crate::store::engine::tx::ANOTHER_QUESTION;
use crate::store::shared::tags::number;
use crate::store::{Each, StageRow, StoreError, TagRow, Tagged, Tx, VersionRow};

/// A secret.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = secrets, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, name))]
pub struct SecretRow {
    /// The owner.
    pub account_id: AccountId,
    /// Unique in the account.
    pub name: SecretName,
    /// Its id; never recurs.
    pub id: SecretId,
    /// Its kind.
    pub secret_type: SecretType,
    /// For people.
    pub description: String,
    /// The key that protects it.
    pub key_id: KeyId,
    /// Whether the caller chose the key.
    pub user_key: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// When it will be deleted; none while it is in use.
    pub delete_at: Option<Timestamp>,
    /// The instance that its maker named; shown again, and of no effect.
    pub kms_instance: Option<KmsInstanceId>,
    /// What belongs to it; the store keeps it.
    pub content: Content,
}

/// Which secrets a list goes through. The values of a field are alternatives, and all fields must fit; none does not limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretFilter {
    /// Names.
    pub names: Option<Vec<SecretName>>,
    /// Beginnings of names.
    pub name_prefixes: Option<Vec<SecretNamePrefix>>,
    /// Descriptions, as a whole.
    pub descriptions: Option<Vec<String>>,
    /// Types.
    pub types: Option<Vec<SecretType>>,
    /// Keys of a tag.
    pub tag_keys: Option<Vec<String>>,
    /// Values of a tag; of the same one where keys are given too.
    pub tag_values: Option<Vec<String>>,
    /// Instances that were named.
    pub kms_instances: Option<Vec<KmsInstanceId>>,
    /// Whether no secret fits.
    pub nothing: bool,
}

impl SecretFilter {
    /// Whether a secret's tags tell if it fits.
    fn is_of_tags(&self) -> bool {
        self.tag_keys.is_some() || self.tag_values.is_some()
    }

    /// Whether a secret with this tag fits.
    fn fits_tag(&self, tag: &TagRow) -> bool {
        self.tag_keys.as_ref().is_none_or(|keys| keys.contains(&tag.tag_key))
            && self.tag_values.as_ref().is_none_or(|values| values.contains(&tag.tag_value))
    }
}

type Condition = Box<dyn BoxableExpression<secrets::table, Backend, SqlType = Bool>>;

/// Secrets of an account that fit, but for those whose time of deletion has come.
fn listed<'a>(account: &'a AccountId, now: Timestamp, filter: &'a SecretFilter) -> secrets::BoxedQuery<'a, Backend> {
    let not_gone = secrets::delete_at.is_null().or(secrets::delete_at.gt(now).assume_not_null());
    let mut query = secrets::table.filter(secrets::account_id.eq(account)).filter(not_gone).into_boxed();
    if filter.nothing {
        query = query.filter(false.into_sql::<Bool>());
    }
    if let Some(names) = &filter.names {
        query = query.filter(secrets::name.eq_any(names));
    }
    if let Some(prefixes) = &filter.name_prefixes {
        query = query.filter(begins_with(prefixes));
    }
    if let Some(instances) = &filter.kms_instances {
        query = query.filter(secrets::kms_instance.eq_any(instances));
    }
    if let Some(descriptions) = &filter.descriptions {
        query = query.filter(secrets::description.eq_any(descriptions));
    }
    if let Some(types) = &filter.types {
        query = query.filter(secrets::secret_type.eq_any(types));
    }
    let tagged = tags::table
        .filter(tags::account_id.eq(account))
        .filter(tags::resource_kind.eq(number(ResourceType::Secret)))
        .select(tags::resource_id);
    match (&filter.tag_keys, &filter.tag_values) {
        (None, None) => query,
        (Some(keys), None) => query.filter(secrets::id.eq_any(tagged.filter(tags::tag_key.eq_any(keys)))),
        (None, Some(values)) => query.filter(secrets::id.eq_any(tagged.filter(tags::tag_value.eq_any(values)))),
        (Some(keys), Some(values)) => {
            let tagged = tagged.filter(tags::tag_key.eq_any(keys)).filter(tags::tag_value.eq_any(values));
            query.filter(secrets::id.eq_any(tagged))
        }
    }
}

/// Names that begin with one of these. As ranges, which the index of names serves; LIKE would ignore the letter case on SQLite. Names are
/// printable ASCII in the order of their bytes, so those with a prefix end before the prefix with DEL behind it.
fn begins_with(prefixes: &[SecretNamePrefix]) -> Condition {
    let ranges = prefixes.iter().map(|prefix| -> Condition {
        let from = secrets::name.ge(prefix.as_str().to_owned());
        Box::new(from.and(secrets::name.lt(format!("{}\u{7f}", prefix.as_str()))))
    });
    ranges.reduce(|either, or| Box::new(either.or(or))).unwrap_or_else(|| Box::new(false.into_sql::<Bool>()))
}

/// Whether a secret is one of those, as far as its own columns tell.
fn fits(row: &SecretRow, account: &AccountId, now: Timestamp, filter: &SecretFilter) -> bool {
    row.account_id == *account
        && row.delete_at.is_none_or(|at| at > now)
        && !filter.nothing
        && filter.names.as_ref().is_none_or(|names| names.contains(&row.name))
        && filter.name_prefixes.as_ref().is_none_or(|all| all.iter().any(|p| row.name.as_str().starts_with(p.as_str())))
        && filter.kms_instances.as_ref().is_none_or(|ids| row.kms_instance.as_ref().is_some_and(|id| ids.contains(id)))
        && filter.descriptions.as_ref().is_none_or(|texts| texts.contains(&row.description))
        && filter.types.as_ref().is_none_or(|types| types.contains(&row.secret_type))
}

impl Sealed for SecretRow {
    const TABLE: &'static str = "secrets";

    fn name(&self) -> String {
        format!("{} of {}", self.name, self.account_id)
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.text(self.account_id.as_str())
            .text(self.name.as_str())
            .field(self.id.as_bytes())
            .text(self.secret_type.as_str())
            .text(&self.description)
            .field(self.key_id.as_bytes())
            .integer(self.user_key.into())
            .integer(self.created_at.0)
            .integer(self.updated_at.0)
            .optional_integer(self.delete_at.map(|at| at.0))
            .optional(self.kms_instance.as_ref().map(|id| id.as_str().as_bytes()))
            .field(self.content.as_bytes())
    }

    fn counted(&self) -> Counted {
        Counted::Part(self.id)
    }
}

impl Tx<'_> {
    /// Inserts a secret, which its first version and the label on that follow.
    ///
    /// # Errors
    /// `Conflict` when its name is taken, or there is no such key.
    pub fn secret_insert_with(&mut self, row: &SecretRow, version: &VersionRow, label: &StageRow) -> Result<(), StoreError> {
        let row = self.content_ahead(row, version, label);
        self.secret_insert(&row)
    }

    /// Inserts a secret to which nothing belongs yet.
    ///
    /// # Errors
    /// `Conflict` when its name is taken, or there is no such key.
    pub fn secret_insert(&mut self, row: &SecretRow) -> Result<(), StoreError> {
        insert!(self, secrets, row)?;
        self.secret_counted(&row.account_id, &row.id, 1)
    }

    /// The secret of an account with this name.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn secret_by_name(&mut self, account: &AccountId, name: &SecretName) -> Result<Option<SecretRow>, StoreError> {
        let query = secrets::table.find((account, name));
        self.secrets_flush()?;
        let found = one!(self, secrets: SecretRow, query, |row| row.account_id == *account && row.name == *name)?;
        found.map(|row| self.noted(row)).transpose()
    }

    /// The secret that has this name already, where one is to be made. In a guarded write nobody asks: the name is refused then, and the
    /// write runs again.
    ///
    /// # Errors
    /// As [`Tx::secret_by_name`].
    pub fn secret_in_the_way(&mut self, account: &AccountId, name: &SecretName) -> Result<Option<SecretRow>, StoreError> {
        if self.puts_off() { Ok(None) } else { self.secret_by_name(account, name) }
    }

    /// Whether a secret is as it was read, and so all that belongs to it. A write that asks nothing takes it as such, and is refused where it
    /// is not.
    ///
    /// # Errors
    /// As any read.
    pub fn secret_is_still(&mut self, row: &SecretRow) -> Result<bool, StoreError> {
        // Of a row that may have been written at either of two levels nobody knows the MAC.
        if !self.asks_nothing() || self.seals().macs(row).count() > 1 {
            let there = secrets::account_id.eq(&row.account_id).and(secrets::name.eq(&row.name));
            let query = secrets::table.filter(there).select(secrets::mac);
            self.secrets_flush()?;
            let now: Option<Vec<u8>> = self.run(SecretRow::TABLE, per_backend!(|conn| query.get_result(conn).optional()))?;
            if !now.is_some_and(|now| self.seals().macs(row).any(|mac| mac[..] == now[..])) {
                return Ok(false);
            }
        }
        self.note(row)?;
        Ok(true)
    }

    /// The secret with this id.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn secret_by_id(&mut self, id: &SecretId) -> Result<Option<SecretRow>, StoreError> {
        let query = secrets::table.filter(secrets::id.eq(id));
        self.secrets_flush()?;
        let found = one!(self, secrets: SecretRow, query, |row| row.id == *id)?;
        found.map(|row| self.noted(row)).transpose()
    }

    /// A page of the secrets of an account that fit, by name, and how many fit in all: those in their deletion window too, but none
    /// behind it. A page in the second half is looked for from the end, since the database walks through all that an offset leaves out.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn secrets_page(
        &mut self,
        account: &AccountId,
        now: Timestamp,
        filter: &SecretFilter,
        offset: i64,
        limit: i64,
    ) -> Result<(Vec<SecretRow>, i64), StoreError> {
        self.secrets_flush()?;
        let total = self.secret_count(account, now, filter)?;
        let limit = limit.min(total - offset);
        if limit <= 0 {
            return Ok((Vec::new(), total));
        }
        let behind = total - offset - limit;
        let fits = |row: &SecretRow| fits(row, account, now, filter);
        let columns = (SecretRow::as_select(), secrets::mac);
        let query = listed(account, now, filter).limit(limit);
        let found = if behind < offset {
            let query = query.order(secrets::name.desc()).offset(behind);
            let mut found = self.all(fits, |conn| query.select(columns).load(conn))?;
            found.reverse();
            found
        } else {
            let query = query.order(secrets::name).offset(offset);
            self.all(fits, |conn| query.select(columns).load(conn))?
        };
        let rows = found.into_iter().map(|row| self.noted(row)).collect::<Result<Vec<_>, _>>()?;
        if filter.is_of_tags() {
            let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
            let tags = self.tags_of_secrets(&ids)?;
            let has_one = |row: &SecretRow| tags.iter().any(|(id, tag)| *id == row.id && filter.fits_tag(tag));
            if let Some(row) = rows.iter().find(|row| !has_one(row)) {
                return Err(self.disbelieved(row, ANOTHER_QUESTION));
            }
        }
        Ok((rows, total))
    }

    /// Up to `limit` names of an account's secrets in their order: those from `from` on that begin with a prefix.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn secret_names_from(
        &mut self,
        account: &AccountId,
        now: Timestamp,
        from: &str,
        prefix: &str,
        limit: i64,
    ) -> Result<Vec<SecretName>, StoreError> {
        let every = SecretFilter::default();
        let mut query = listed(account, now, &every).filter(secrets::name.ge(from.to_owned()));
        if !prefix.is_empty() {
            query = query.filter(secrets::name.lt(format!("{prefix}\u{7f}")));
        }
        let query = query.order(secrets::name).limit(limit);
        self.secrets_flush()?;
        let asked = |row: &SecretRow| {
            let name = row.name.as_str();
            row.account_id == *account && name >= from && name.starts_with(prefix) && row.delete_at.is_none_or(|at| at > now)
        };
        let found = self.all(asked, |conn| query.select((SecretRow::as_select(), secrets::mac)).load(conn))?;
        Ok(found.into_iter().map(|row| row.name).collect())
    }

    /// How many secrets [`Tx::secrets_page`] pages through.
    ///
    /// # Errors
    /// As any read.
    pub fn secret_count(&mut self, account: &AccountId, now: Timestamp, filter: &SecretFilter) -> Result<i64, StoreError> {
        if *filter == SecretFilter::default() {
            // Those behind their window wait for the job, so they are few. The empty text keeps SQLite from looking for them among
            // all rows of the account.
            let gone = secrets::table.filter(secrets::delete_at.le(now)).filter(secrets::account_id.concat("").eq(account));
            let gone: i64 = self.run(SecretRow::TABLE, per_backend!(|conn| gone.count().get_result(conn)))?;
            return Ok(self.secrets_in_all(account)? - gone);
        }
        let query = listed(account, now, filter);
        self.run(SecretRow::TABLE, |conn| query.count().get_result(conn))
    }

    /// Secrets whose time of deletion has come, the longest due first.
    ///
    /// # Errors
    /// As any read; of a row, `Corrupt` when it does not verify.
    pub fn secrets_due(&mut self, now: Timestamp, limit: i64) -> Result<Each<SecretRow>, StoreError> {
        let page = |offset: i64| {
            secrets::table.filter(secrets::delete_at.le(now)).order((secrets::delete_at, secrets::id)).offset(offset)
        };
        each_due!(self, secrets: SecretRow, limit, page, |row| row.delete_at.is_some_and(|at| at <= now))
    }

    /// Whether any secret is under this key. Reads the whole table.
    ///
    /// # Errors
    /// As any read.
    pub fn secrets_under(&mut self, key: &KeyId) -> Result<bool, StoreError> {
        let query = secrets::table.filter(secrets::key_id.eq(key)).select(secrets::name).limit(1);
        self.run(SecretRow::TABLE, per_backend!(|conn| query.get_result::<SecretName>(conn).optional()))
            .map(|found| found.is_some())
    }

    /// How many secrets are under this key. Reads the whole table.
    ///
    /// # Errors
    /// As any read.
    pub fn secret_count_under(&mut self, key: &KeyId) -> Result<i64, StoreError> {
        let query = secrets::table.filter(secrets::key_id.eq(key)).count();
        self.run(SecretRow::TABLE, per_backend!(|conn| query.get_result::<i64>(conn)))
    }

    /// Puts `new` in the place of `old`, which was read in this transaction and has the same key: at the end of the write, or before
    /// the next look at secrets, so that what has changed with it is written by the same statement.
    ///
    /// # Errors
    /// At that time, `Fault` when the row is not `old` any more.
    pub fn secret_update(&mut self, old: &SecretRow, new: &SecretRow) -> Result<(), StoreError> {
        self.keep_back(old, new);
        Ok(())
    }

    /// Deletes a secret with its versions, stages, tags, policy and rotation; false when the row is not this one any more.
    ///
    /// # Errors
    /// As any write.
    pub fn secret_delete(&mut self, row: &SecretRow) -> Result<bool, StoreError> {
        let id = &row.id;
        self.secrets_flush()?;
        self.rotation_delete(id)?;
        self.stages_delete(id)?;
        let versions = secret_versions::table.filter(secret_versions::secret_id.eq(id));
        self.run_change("secret_versions", per_backend!(|conn| diesel::delete(versions).execute(conn)))?;
        self.tags_delete(Tagged::Secret(row.id))?;
        self.resource_policy_delete(&row.account_id, &row.name.resource())?;
        let key = secrets::account_id.eq(&row.account_id).and(secrets::name.eq(&row.name));
        let deleted = remove!(self, secrets, row, key)?;
        if deleted {
            self.secret_counted(&row.account_id, &row.id, -1)?;
            // Its content goes with it.
            self.changes.children.remove(id);
            self.contents.remove(id);
        }
        Ok(deleted)
    }
}
