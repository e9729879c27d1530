//! How managed secrets are rotated, and which account of which server belongs to which of them.
//!
//! Owns: the rows of rotations, rotation_accounts and rotation_calls. Must not know: servers, the steps of a rotation. Called by:
//! secrets.

use diesel::insert_into;
use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, AccountName, InstanceId, NodeId, SecretId, SecretVersionUuid, VersionId};
use crate::base::words::SecretSubType;
use crate::store::engine::connection::{Conn, per_backend};
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::{rotation_accounts, rotation_calls, rotations, secrets};
use crate::store::engine::scope::{Child, Counted};
use crate::store::engine::statements::{delete, insert, load_each, one, replace};
use crate::store::{Each, SecretRow, StoreError, Tx, expect_changed};

/// How a managed secret is rotated, and where it stands in that.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = rotations, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(secret_id))]
pub struct RotationRow {
    /// The secret.
    pub secret_id: SecretId,
    /// Between how many accounts.
    pub sub_type: SecretSubType,
    /// The server.
    pub instance: InstanceId,
    /// What the caller keeps with it: a JSON object.
    pub custom_data: String,
    /// From one rotation to the next, ms; none while it is not rotated by itself.
    pub interval_ms: Option<i64>,
    /// When it was rotated last.
    pub last_at: Option<Timestamp>,
    /// When it will be rotated by itself.
    pub next_at: Option<Timestamp>,
    /// The version whose password is being set on the server.
    pub pending_id: Option<VersionId>,
    /// The same, so that another one of its name is not meant.
    pub pending_uuid: Option<SecretVersionUuid>,
    /// When the job acts next: begins, or goes on with what is pending.
    pub attempt_at: Option<Timestamp>,
    /// Attempts that failed since one succeeded.
    pub failures: i64,
    /// The node that rotates it now.
    pub holder: Option<NodeId>,
    /// Until when nobody else may.
    pub held_until: Option<Timestamp>,
}

impl Sealed for RotationRow {
    const TABLE: &'static str = "rotations";

    fn name(&self) -> String {
        self.secret_id.to_string()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        let ms = |time: Option<Timestamp>| time.map(|at| at.0);
        row.field(self.secret_id.as_bytes())
            .text(self.sub_type.as_str())
            .text(self.instance.as_str())
            .text(&self.custom_data)
            .optional_integer(self.interval_ms)
            .optional_integer(ms(self.last_at))
            .optional_integer(ms(self.next_at))
            .optional(self.pending_id.as_ref().map(|id| id.as_str().as_bytes()))
            .optional(self.pending_uuid.as_ref().map(|uuid| uuid.as_bytes().as_slice()))
            .optional_integer(ms(self.attempt_at))
            .integer(self.failures)
            .optional(self.holder.as_ref().map(|node| node.as_bytes().as_slice()))
            .optional_integer(ms(self.held_until))
    }

    fn counted(&self) -> Counted {
        Counted::Child(self.secret_id, Child::Rotation)
    }
}

/// An account of a server that a secret manages.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = rotation_accounts, treat_none_as_default_value = false)]
pub struct RotationAccountRow {
    /// The server.
    pub instance: InstanceId,
    /// The account on it.
    pub name: AccountName,
    /// The secret.
    pub secret_id: SecretId,
}

impl Sealed for RotationAccountRow {
    const TABLE: &'static str = "rotation_accounts";

    fn name(&self) -> String {
        format!("{} on {}", self.name, self.instance)
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.text(self.instance.as_str()).text(self.name.as_str()).field(self.secret_id.as_bytes())
    }

    fn counted(&self) -> Counted {
        Counted::Child(self.secret_id, Child::Rotation)
    }
}

impl Tx<'_> {
    /// Inserts how a secret is rotated.
    ///
    /// # Errors
    /// `Conflict` when the secret has such a row, or there is no such secret.
    pub fn rotation_insert(&mut self, row: &RotationRow) -> Result<(), StoreError> {
        insert!(self, rotations, row)
    }

    /// How a secret is rotated; none for one that its owner manages.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn rotation_of(&mut self, secret: &SecretId) -> Result<Option<RotationRow>, StoreError> {
        Ok(self.rotation_proved(secret)?.0)
    }

    /// Secrets on which the rotation job of a node may act now, the longest due first: not those that another node is at, and of
    /// deleted ones only those that are in the middle of a rotation.
    ///
    /// # Errors
    /// As any read; of a row, `Corrupt` when it does not verify.
    pub fn rotations_due(
        &mut self,
        node: &NodeId,
        now: Timestamp,
        limit: i64,
    ) -> Result<Each<(SecretRow, RotationRow)>, StoreError> {
        type Found = (SecretRow, Vec<u8>, RotationRow, Vec<u8>);
        let page = |conn: &mut Conn, offset: i64| -> QueryResult<Vec<QueryResult<Found>>> {
            let free = rotations::holder.is_null().or(rotations::holder.eq(node)).or(rotations::held_until.le(now));
            let query = rotations::table
                .inner_join(secrets::table.on(secrets::id.eq(rotations::secret_id)))
                .filter(rotations::attempt_at.le(now))
                .filter(free.assume_not_null())
                .filter(rotations::pending_id.is_not_null().or(secrets::delete_at.is_null()))
                .order((rotations::attempt_at, rotations::secret_id))
                .offset(offset)
                .limit(limit);
            let load =
                load_each!(query.select((SecretRow::as_select(), secrets::mac, RotationRow::as_select(), rotations::mac)));
            load(conn)
        };
        self.each_due(RotationRow::TABLE, limit, page, |tx, (secret, secret_mac, rotation, rotation_mac)| {
            let due = |row: &RotationRow| {
                let free = row.holder.is_none_or(|holder| holder == *node) || row.held_until.is_some_and(|until| until <= now);
                free && row.attempt_at.is_some_and(|at| at <= now)
            };
            let rotation = tx.verified((rotation, rotation_mac), due)?;
            let its =
                |row: &SecretRow| row.id == rotation.secret_id && (rotation.pending_id.is_some() || row.delete_at.is_none());
            let secret = tx.verified((secret, secret_mac), its)?;
            let secret = tx.noted(secret)?;
            tx.rotation_proved(&secret.id)?;
            Ok((secret, rotation))
        })
    }

    /// How many secrets have failed to rotate since they last did.
    ///
    /// # Errors
    /// As any read.
    pub fn rotations_failing(&mut self) -> Result<i64, StoreError> {
        let query = rotations::table.filter(rotations::failures.gt(0)).count();
        self.run(RotationRow::TABLE, per_backend!(|conn| query.get_result(conn)))
    }

    /// Puts `new` in the place of `old`, which was read in this transaction and has the same key.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more.
    pub fn rotation_update(&mut self, old: &RotationRow, new: &RotationRow) -> Result<(), StoreError> {
        expect_changed(replace!(self, rotations, old => new, rotations::secret_id.eq(&old.secret_id))?, RotationRow::TABLE)
    }

    /// Gives an account to a secret.
    ///
    /// # Errors
    /// `Conflict` when it belongs to one, or there is no such secret.
    pub fn rotation_account_insert(&mut self, row: &RotationAccountRow) -> Result<(), StoreError> {
        insert!(self, rotation_accounts, row)
    }

    /// Whose an account is.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn rotation_account(
        &mut self,
        instance: &InstanceId,
        name: &AccountName,
    ) -> Result<Option<RotationAccountRow>, StoreError> {
        let query = rotation_accounts::table.find((instance, name));
        let found =
            one!(self, rotation_accounts: RotationAccountRow, query, |row| row.instance == *instance && row.name == *name)?;
        if let Some(row) = &found {
            self.rotation_proved(&row.secret_id)?;
        }
        Ok(found)
    }

    /// The accounts of a secret, by name.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn rotation_accounts_of(&mut self, secret: &SecretId) -> Result<Vec<RotationAccountRow>, StoreError> {
        Ok(self.rotation_proved(secret)?.1)
    }

    /// Deletes what is said of a secret's rotation.
    ///
    /// # Errors
    /// As any write.
    pub(in crate::store) fn rotation_delete(&mut self, id: &SecretId) -> Result<(), StoreError> {
        delete!(self, rotation_accounts: RotationAccountRow, rotation_accounts::secret_id.eq(id), |row| row.secret_id == *id)?;
        delete!(self, rotations: RotationRow, rotations::secret_id.eq(id), |row| row.secret_id == *id).map(drop)
    }

    /// How a secret is rotated and its accounts, by name: all that belongs to it.
    fn rotation_proved(&mut self, secret: &SecretId) -> Result<(Option<RotationRow>, Vec<RotationAccountRow>), StoreError> {
        let query = rotations::table.filter(rotations::secret_id.eq(secret));
        let load = per_backend!(|conn| query.select((RotationRow::as_select(), rotations::mac)).load(conn));
        let (rows, sum) = self.counted(secret, Child::Rotation, load)?;
        let query = rotation_accounts::table.filter(rotation_accounts::secret_id.eq(secret)).order(rotation_accounts::name);
        let load = per_backend!(|conn| query.select((RotationAccountRow::as_select(), rotation_accounts::mac)).load(conn));
        let (accounts, of_accounts) = self.counted(secret, Child::Rotation, load)?;
        self.belongs(secret, Child::Rotation, sum.plus(of_accounts))?;
        Ok((rows.into_iter().next(), accounts))
    }

    /// Notes that an account began a rotation, which makes the version `begun`, and forgets those of `since` and before; false when
    /// `most` are noted and this one is not.
    ///
    /// # Errors
    /// As any write.
    pub fn rotation_call_insert(
        &mut self,
        account: &AccountId,
        begun: &SecretVersionUuid,
        now: Timestamp,
        since: Timestamp,
        most: i64,
    ) -> Result<bool, StoreError> {
        const TABLE: &str = "rotation_calls";
        let of_account = rotation_calls::table.filter(rotation_calls::account_id.eq(account));
        self.run_change(
            TABLE,
            per_backend!(|conn| diesel::delete(of_account.filter(rotation_calls::called_at.le(since))).execute(conn)),
        )?;
        // No MAC keeps them: what was noted of times that are yet to come counts for nothing.
        let noted = of_account.filter(rotation_calls::called_at.le(now));
        if self.run(TABLE, per_backend!(|conn| noted.count().get_result::<i64>(conn)))? >= most {
            return Ok(false);
        }
        let values =
            (rotation_calls::account_id.eq(account), rotation_calls::called_at.eq(now), rotation_calls::version_uuid.eq(begun));
        self.changed(TABLE, per_backend!(|conn| insert_into(rotation_calls::table).values(values).execute(conn)))
    }
}
