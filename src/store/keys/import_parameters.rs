//! Parameters for import: the wrapping pairs that callers were given, each for one key and one day.
//!
//! Owns: the rows of import_parameters. Must not know: the token, what an import token looks like. Called by: keys.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{KeyId, KeyVersionId};
use crate::base::words::{ImportAlgorithm, Suite};
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::import_parameters;
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{all, delete, each_due, insert, one, replace};
use crate::store::{Each, StoreError, Tx, expect_changed};

/// A wrapping pair.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = import_parameters, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct ImportParametersRow {
    /// Its id; CKA_ID where the pair is on the token.
    pub id: KeyVersionId,
    /// The key that it may bring material to.
    pub key_id: KeyId,
    /// How the material is encrypted.
    pub algorithm: ImportAlgorithm,
    /// SHA-256 of the secret half of the import token.
    pub token_digest: Vec<u8>,
    /// Whether the pair was made and handed out.
    pub ready: bool,
    /// How often material did not decrypt with it.
    pub failures: i64,
    /// When its day is over.
    pub expires_at: Timestamp,
    /// How the private key is wrapped; none where it is on the token.
    pub wrapped_suite: Option<Suite>,
    /// The private key under SYS; none where it is on the token.
    pub wrapped: Option<Vec<u8>>,
}

impl Sealed for ImportParametersRow {
    const TABLE: &'static str = "import_parameters";

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(self.id.as_bytes())
            .field(self.key_id.as_bytes())
            .text(self.algorithm.as_str())
            .field(&self.token_digest)
            .integer(self.ready.into())
            .integer(self.failures)
            .integer(self.expires_at.0)
            .optional(self.wrapped_suite.map(|s| s.number().to_be_bytes()).as_ref().map(<[u8; 2]>::as_slice))
            .optional(self.wrapped.as_deref())
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Key(self.key_id))
    }
}

impl Tx<'_> {
    /// Inserts a pair that is about to be made.
    ///
    /// # Errors
    /// `Conflict` when its id is taken.
    pub fn import_parameters_insert(&mut self, row: &ImportParametersRow) -> Result<(), StoreError> {
        insert!(self, import_parameters, row)
    }

    /// The pair with this id.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn import_parameters_by_id(&mut self, id: &KeyVersionId) -> Result<Option<ImportParametersRow>, StoreError> {
        let query = import_parameters::table.find(id);
        one!(self, import_parameters: ImportParametersRow, query, |row| row.id == *id)
    }

    /// The pairs of a key.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn import_parameters_of_key(&mut self, key: &KeyId) -> Result<Vec<ImportParametersRow>, StoreError> {
        let query = import_parameters::table.filter(import_parameters::key_id.eq(key));
        all!(self, import_parameters: ImportParametersRow, query, |row| row.key_id == *key)
    }

    /// How many pairs a key has, expired ones that were not swept yet included.
    ///
    /// # Errors
    /// As any read.
    pub fn import_parameters_count(&mut self, key: &KeyId) -> Result<i64, StoreError> {
        let query = import_parameters::table.filter(import_parameters::key_id.eq(key));
        self.run(ImportParametersRow::TABLE, per_backend!(|conn| query.count().get_result(conn)))
    }

    /// How many pairs there are on the token, of all keys.
    ///
    /// # Errors
    /// As any read.
    pub fn import_parameters_on_token(&mut self) -> Result<i64, StoreError> {
        let query = import_parameters::table.filter(import_parameters::wrapped.is_null());
        self.run(ImportParametersRow::TABLE, per_backend!(|conn| query.count().get_result(conn)))
    }

    /// The ids of all pairs, and whether each is ready.
    ///
    /// # Errors
    /// As any read.
    pub fn import_parameters_ids(&mut self) -> Result<Vec<(KeyVersionId, bool)>, StoreError> {
        let columns = (import_parameters::id, import_parameters::ready);
        self.run(ImportParametersRow::TABLE, per_backend!(|conn| import_parameters::table.select(columns).load(conn)))
    }

    /// Pairs whose day is over, and those that are not ready and would last no longer than `unready`; the oldest first.
    ///
    /// # Errors
    /// As any read; of a row, `Corrupt` when it does not verify.
    pub fn import_parameters_due(
        &mut self,
        now: Timestamp,
        unready: Timestamp,
        limit: i64,
    ) -> Result<Each<ImportParametersRow>, StoreError> {
        let page = |offset: i64| {
            let over = import_parameters::expires_at.le(now);
            let given_up = import_parameters::ready.eq(false).and(import_parameters::expires_at.le(unready));
            let due = import_parameters::table.filter(over.or(given_up));
            due.order((import_parameters::expires_at, import_parameters::id)).offset(offset)
        };
        each_due!(self, import_parameters: ImportParametersRow, limit, page, |row| row.expires_at <= now || (!row.ready && row.expires_at <= unready))
    }

    /// Puts `new` in the place of `old`, which has the same key; false when the row is not `old` any more.
    ///
    /// # Errors
    /// As any write.
    pub fn import_parameters_update_if(
        &mut self,
        old: &ImportParametersRow,
        new: &ImportParametersRow,
    ) -> Result<bool, StoreError> {
        replace!(self, import_parameters, old => new, import_parameters::id.eq(&old.id))
    }

    /// Puts `new` in the place of `old`, which was read in this transaction and has the same key.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more.
    pub fn import_parameters_update(&mut self, old: &ImportParametersRow, new: &ImportParametersRow) -> Result<(), StoreError> {
        expect_changed(self.import_parameters_update_if(old, new)?, ImportParametersRow::TABLE)
    }

    /// Deletes a pair; false when there is none.
    ///
    /// # Errors
    /// As any write.
    pub fn import_parameters_delete(&mut self, id: &KeyVersionId) -> Result<bool, StoreError> {
        Ok(delete!(self, import_parameters: ImportParametersRow, import_parameters::id.eq(id), |row| row.id == *id)? > 0)
    }
}
