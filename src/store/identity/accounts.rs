//! Accounts (tenants), and the number that rises with every change of who may do what.
//!
//! Owns: the rows of accounts, identity_revision and account_revisions. Must not know: what an account may do. Called by: auth, admin.

use diesel::prelude::*;
use diesel::{delete, insert_into, update};

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::{account_revisions, accounts, identity_revision};
use crate::store::engine::statements::{all, insert, one, replace};
use crate::store::engine::tx::every;
use crate::store::{StoreError, Tx, held};

/// In account_revisions: whatever changed, it may be about any account.
const EVERY_ACCOUNT: &str = "";

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = accounts)]
pub struct AccountRow {
    /// Its id, in every ARN.
    pub id: AccountId,
    /// For people; unique.
    pub name: String,
    /// Whether its access keys are accepted.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Sealed for AccountRow {
    const TABLE: &'static str = "accounts";

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.text(self.id.as_str()).text(&self.name).integer(self.enabled.into()).integer(self.created_at.0)
    }
}

impl Tx<'_> {
    /// The revision of all that says who may do what. A node that sees it unchanged may keep what it remembers.
    ///
    /// # Errors
    /// As any read.
    pub fn identity_revision(&mut self) -> Result<i64, StoreError> {
        self.run(
            "identity_revision",
            per_backend!(|conn| identity_revision::table.find(1).select(identity_revision::value).get_result(conn)),
        )
    }

    /// The accounts in which something changed after a revision; none where everything may have changed.
    ///
    /// # Errors
    /// As any read.
    pub fn accounts_changed_since(&mut self, revision: i64) -> Result<Option<Vec<AccountId>>, StoreError> {
        let since = account_revisions::table.filter(account_revisions::value.gt(revision));
        let ids: Vec<String> =
            self.run("account_revisions", per_backend!(|conn| since.select(account_revisions::account_id).load(conn)))?;
        Ok(ids.iter().map(|id| id.parse().ok()).collect())
    }

    /// Raises the revision for all accounts; changes of accounts, users, access keys and policies do so by themselves.
    ///
    /// # Errors
    /// As any write.
    pub fn identity_revision_bump(&mut self) -> Result<(), StoreError> {
        self.rights_changed_of(EVERY_ACCOUNT)
    }

    /// Raises the revision for one account: its callers may have more rights or fewer now.
    ///
    /// # Errors
    /// As any write.
    pub fn rights_changed(&mut self, account: &AccountId) -> Result<(), StoreError> {
        self.rights_changed_of(account.as_str())
    }

    fn rights_changed_of(&mut self, account: &str) -> Result<(), StoreError> {
        self.note_rights_changed();
        let row = identity_revision::table.find(1);
        let raised = identity_revision::value.eq(identity_revision::value + 1);
        if !self.changed("identity_revision", per_backend!(|conn| update(row).set(raised).execute(conn)))? {
            return Err(StoreError::Corrupt { table: "identity_revision", detail: "its row is missing".to_owned() });
        }
        let value = account_revisions::value.eq(self.identity_revision()?);
        let there = account_revisions::table.find(account);
        if !self.changed("account_revisions", per_backend!(|conn| update(there).set(value).execute(conn)))? {
            let new = (account_revisions::account_id.eq(account), value);
            self.run(
                "account_revisions",
                per_backend!(|conn| insert_into(account_revisions::table).values(new).execute(conn)),
            )?;
        }
        Ok(())
    }

    /// Inserts an account.
    ///
    /// # Errors
    /// `Conflict` when its id or name is taken.
    pub fn account_insert(&mut self, row: &AccountRow) -> Result<(), StoreError> {
        insert!(self, accounts, row)?;
        self.identity_revision_bump()
    }

    /// The account with this id.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn account_by_id(&mut self, id: &AccountId) -> Result<Option<AccountRow>, StoreError> {
        let query = accounts::table.find(id);
        one!(self, accounts: AccountRow, query, |row| row.id == *id)
    }

    /// The account with this name.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn account_by_name(&mut self, name: &str) -> Result<Option<AccountRow>, StoreError> {
        let query = accounts::table.filter(accounts::name.eq(name));
        one!(self, accounts: AccountRow, query, |row| row.name == name)
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn accounts(&mut self) -> Result<Vec<AccountRow>, StoreError> {
        let query = accounts::table.order(accounts::name);
        all!(self, accounts: AccountRow, query, |row| every(row))
    }

    /// Puts `new` in the place of `old`, which was read in this transaction and has the same key.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more; `Conflict` when a unique column would have the same value twice.
    pub fn account_update(&mut self, old: &AccountRow, new: &AccountRow) -> Result<(), StoreError> {
        held(replace!(self, accounts, old => new, accounts::id.eq(&old.id))?, AccountRow::TABLE)?;
        self.identity_revision_bump()
    }

    /// Deletes an account that owns nothing any more; false when there is none.
    ///
    /// # Errors
    /// `Conflict` while other rows need it.
    pub fn account_delete(&mut self, id: &AccountId) -> Result<bool, StoreError> {
        let gone = self.changed(AccountRow::TABLE, per_backend!(|conn| delete(accounts::table.find(id)).execute(conn)))?;
        if gone {
            self.identity_revision_bump()?;
        }
        Ok(gone)
    }
}
