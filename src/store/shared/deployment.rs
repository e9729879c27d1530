//! The one row that names the installation: its id, its region, where its system keys are on the token, and its level.
//!
//! Owns: that row. Must not know: the token. Called by: admin and app, which read it by URL before the key of the row MACs is known;
//! store, which then verifies it.
//!
//! Until it is verified the row is a claim. Its ids are believed only of objects that the token itself says to be the system keys (by
//! attributes and label); its MAC is made with a key that ROW derives from the row, so that no part of it can be exchanged.

use std::time::Duration;

use diesel::Connection;
use diesel::prelude::*;

use crate::base::canonical::{Canonical, Purpose};
use crate::base::clock::Timestamp;
use crate::base::ids::{DeploymentId, KeyVersionId, Region};
use crate::base::words::Suite;
use crate::store::engine::connection::{Access, Conn, per_backend};
use crate::store::engine::level::{Level, Levels};
use crate::store::engine::location::Location;
use crate::store::engine::row_mac::{RowKey, Sealed};
use crate::store::engine::schema::{accounts, anchors, deployment, import_parameters, key_versions};
use crate::store::engine::scope::Counted;
use crate::store::engine::statements::{one, replace};
use crate::store::engine::tx::every;
use crate::store::{AnchorsRow, StoreError, Tx, expect_changed, migrate};

/// How long to wait for another process's lock.
const BUSY: Duration = Duration::from_secs(10);

/// The installation.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = deployment, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct DeploymentRow {
    /// In the associated data of everything.
    pub id: DeploymentId,
    /// The region it answers as.
    pub region: Region,
    /// CKA_ID of SYS on the token.
    pub sys_key: KeyVersionId,
    /// CKA_ID of INT.
    pub int_key: KeyVersionId,
    /// CKA_ID of AUD.
    pub aud_key: KeyVersionId,
    /// CKA_ID of ROW.
    pub row_key: KeyVersionId,
    /// CKA_ID of another like it that no row hangs on: the next one while `bulla rekey` is at it, the one before until it is destroyed.
    pub spare_row_key: Option<KeyVersionId>,
    /// The suite that the token was found fit for.
    pub suite: Suite,
    /// Whether set-up came to its end: the system keys exist and are proved.
    pub ready: bool,
    /// When set-up began.
    pub created_at: Timestamp,
    /// The level that rows are written at.
    pub level: Level,
    /// What the token was found to refuse to be told of new keys, in the words of the token layer.
    pub left_out: String,
}

impl DeploymentRow {
    /// The ids of the system keys.
    pub fn system_keys(&self) -> [KeyVersionId; 4] {
        [self.sys_key, self.int_key, self.aud_key, self.row_key]
    }

    /// The ids of all objects on the token that it names.
    pub fn objects(&self) -> Vec<KeyVersionId> {
        self.system_keys().into_iter().chain(self.spare_row_key).collect()
    }

    /// What ROW on the token signs to make the row key: every column that says what the deployment is.
    pub fn derivation(&self) -> Canonical {
        Canonical::new(Purpose::RowKey)
            .field(self.id.as_bytes())
            .text(self.region.as_str())
            .field(self.sys_key.as_bytes())
            .field(self.int_key.as_bytes())
            .field(self.aud_key.as_bytes())
            .field(self.row_key.as_bytes())
            .integer(self.suite.number().into())
            .integer(self.created_at.0)
    }
}

impl Sealed for DeploymentRow {
    const TABLE: &'static str = "deployment";

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(self.derivation().as_bytes())
            .integer(self.ready.into())
            .integer(self.level.0.into())
            .optional(self.spare_row_key.as_ref().map(|id| &id.as_bytes()[..]))
            .text(&self.left_out)
    }

    fn counted(&self) -> Counted {
        Counted::Nowhere
    }
}

/// The row, if set-up has begun. Nothing of it is proved yet.
///
/// # Errors
/// `Fault` when this program does not serve the schema or the level; `Unavailable`.
pub fn read(url: &str) -> Result<Option<DeploymentRow>, StoreError> {
    let mut conn = open(url, Levels::served())?;
    deployment::table.select(DeploymentRow::as_select()).first(&mut conn).optional().map_err(of)
}

/// Inserts the row of a set-up that begins. It verifies only once it is [`complete`].
///
/// # Errors
/// `Conflict` when there is one; else as [`read`].
pub fn insert(url: &str, row: &DeploymentRow) -> Result<(), StoreError> {
    let mut conn = open(url, Levels::served())?;
    let values = (row, deployment::mac.eq(&[][..]));
    diesel::insert_into(deployment::table).values(values).execute(&mut conn).map(drop).map_err(of)
}

/// Gives a system key another id, while set-up goes on. Answers the row as it is then.
///
/// # Errors
/// `Conflict` when set-up is done; else as [`read`].
pub fn rename(url: &str, row: &DeploymentRow, from: KeyVersionId, to: KeyVersionId) -> Result<DeploymentRow, StoreError> {
    let renamed = |id| if id == from { to } else { id };
    let new = DeploymentRow {
        sys_key: renamed(row.sys_key),
        int_key: renamed(row.int_key),
        aud_key: renamed(row.aud_key),
        row_key: renamed(row.row_key),
        ..row.clone()
    };
    let mut conn = open(url, Levels::served())?;
    let begun = deployment::table.filter(deployment::id.eq(row.id)).filter(deployment::ready.eq(false));
    match diesel::update(begun).set(&new).execute(&mut conn).map_err(of)? {
        0 => Err(StoreError::Conflict),
        _ => Ok(new),
    }
}

/// Whether there are accounts: then set-up came to its end once, whatever the row says.
///
/// # Errors
/// As [`read`].
pub fn is_used(url: &str) -> Result<bool, StoreError> {
    let mut conn = open(url, Levels::served())?;
    accounts::table.count().get_result(&mut conn).map(|count: i64| count > 0).map_err(of)
}

/// Writes the row as it is at the end of set-up, marked as done and sealed with the key that the new system keys made, and the first anchors
/// beside it: no deployment is ready without. False when it was done already or there is no such row.
///
/// # Errors
/// As [`read`].
pub fn complete(url: &str, row: &DeploymentRow, first: &AnchorsRow, key: &RowKey) -> Result<bool, StoreError> {
    let done = DeploymentRow { ready: true, ..row.clone() };
    let (mac, of_first) = (key.seal(&done, done.level), key.seal(first, done.level));
    let mut conn = open(url, Levels::served())?;
    let begun = deployment::table.filter(deployment::id.eq(row.id)).filter(deployment::ready.eq(false));
    let completed = conn.transaction(|conn| {
        let update = diesel::update(begun).set((&done, deployment::mac.eq(&mac[..])));
        if update.execute(conn)? == 0 {
            return Ok(false);
        }
        // What stood there before nobody of ours has written.
        diesel::delete(anchors::table).execute(conn)?;
        diesel::insert_into(anchors::table).values((first, anchors::mac.eq(&of_first[..]))).execute(conn).map(|_| true)
    });
    completed.map_err(of)
}

impl Tx<'_> {
    /// The deployment, verified.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify or is gone; `Fault` when its level is not served.
    pub fn deployment(&mut self) -> Result<DeploymentRow, StoreError> {
        let level = deployment::table.select(deployment::level);
        let level: Option<Level> = self.run(DeploymentRow::TABLE, per_backend!(|conn| level.get_result(conn).optional()))?;
        served(self.seals().levels(), level)?;
        let row = one!(self, deployment: DeploymentRow, deployment::table, |row| every(row))?;
        row.ok_or_else(|| self.corrupt(DeploymentRow::TABLE, "its row is gone"))
    }

    /// Raises the level of the deployment.
    ///
    /// # Errors
    /// As [`Tx::deployment`].
    pub fn deployment_raise(&mut self, level: Level) -> Result<(), StoreError> {
        let old = self.deployment()?;
        let new = DeploymentRow { level, ..old.clone() };
        expect_changed(replace!(self, deployment, &old => &new, deployment::id.eq(old.id))?, DeploymentRow::TABLE)
    }

    /// Names another row key that is spare, or none any more.
    ///
    /// # Errors
    /// As [`Tx::deployment`].
    pub fn deployment_spare(&mut self, spare_row_key: Option<KeyVersionId>) -> Result<(), StoreError> {
        let old = self.deployment()?;
        let new = DeploymentRow { spare_row_key, ..old.clone() };
        expect_changed(replace!(self, deployment, &old => &new, deployment::id.eq(old.id))?, DeploymentRow::TABLE)
    }

    /// Whether one of these ids, which are system keys', stands among the rows of master keys: then somebody wrote it there, so that
    /// callers could use a system key.
    ///
    /// # Errors
    /// As any read.
    pub fn names_system_key(&mut self, ids: &[KeyVersionId]) -> Result<bool, StoreError> {
        for id in ids {
            let version = key_versions::table.filter(key_versions::id.eq(id)).count();
            let pair = import_parameters::table.filter(import_parameters::id.eq(id)).count();
            let found: i64 = self.run("key_versions", per_backend!(|conn| version.get_result(conn)))?;
            let paired: i64 = self.run("import_parameters", per_backend!(|conn| pair.get_result(conn)))?;
            if found + paired > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Refuses a deployment whose level this program does not serve.
fn served(levels: Levels, level: Option<Level>) -> Result<(), StoreError> {
    match level {
        Some(level) if !levels.contains(level) => Err(StoreError::Fault(format!(
            "the deployment is at level {level}, and this program ({}) serves {levels}: run a program that serves level {level}",
            env!("CARGO_PKG_VERSION"),
        ))),
        _ => Ok(()),
    }
}

fn open(url: &str, levels: Levels) -> Result<Conn, StoreError> {
    let mut conn = Conn::open(&Location::parse(url)?, Access::Admin, BUSY)?;
    migrate::check(&mut conn, levels)?;
    let level = deployment::table.select(deployment::level).first(&mut conn).optional().map_err(of)?;
    served(levels, level)?;
    Ok(conn)
}

fn of(error: diesel::result::Error) -> StoreError {
    StoreError::of(DeploymentRow::TABLE, error)
}
