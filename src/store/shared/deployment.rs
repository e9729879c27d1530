//! The one row that names the installation: its id, its region, and where its system keys are on the token.
//!
//! Owns: that row. Must not know: the token. Called by: admin and app, before the key of the row MACs is known, hence by URL.

use std::time::Duration;

use diesel::prelude::*;

use crate::base::clock::Timestamp;
use crate::base::ids::{DeploymentId, KeyVersionId, Region};
use crate::base::words::Suite;
use crate::store::engine::connection::{Access, Conn};
use crate::store::engine::location::Location;
use crate::store::engine::schema::deployment;
use crate::store::{StoreError, migrate};

const TABLE: &str = "deployment";

/// How long to wait for another process's lock.
const BUSY: Duration = Duration::from_secs(10);

/// The installation.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = deployment)]
pub struct DeploymentRow {
    /// In the associated data of everything, and in the derivation of the row key.
    pub id: DeploymentId,
    /// The region it answers as.
    pub region: Region,
    /// CKA_ID of SYS on the token.
    pub sys_key: KeyVersionId,
    /// CKA_ID of INT.
    pub int_key: KeyVersionId,
    /// CKA_ID of AUD.
    pub aud_key: KeyVersionId,
    /// The suite that the token was found fit for.
    pub suite: Suite,
    /// Whether set-up came to its end: the system keys exist and are proved.
    pub ready: bool,
    /// When set-up began.
    pub created_at: Timestamp,
}

impl DeploymentRow {
    /// The ids of the system keys.
    pub fn system_keys(&self) -> [KeyVersionId; 3] {
        [self.sys_key, self.int_key, self.aud_key]
    }
}

/// The row, if set-up has begun.
///
/// # Errors
/// `Fault` when the schema is not this program's; `Unavailable`.
pub fn read(url: &str) -> Result<Option<DeploymentRow>, StoreError> {
    let mut conn = open(url)?;
    deployment::table.select(DeploymentRow::as_select()).first(&mut conn).optional().map_err(of)
}

/// Inserts the row.
///
/// # Errors
/// `Conflict` when there is one; else as [`read`].
pub fn insert(url: &str, row: &DeploymentRow) -> Result<(), StoreError> {
    let mut conn = open(url)?;
    diesel::insert_into(deployment::table).values(row).execute(&mut conn).map(drop).map_err(of)
}

/// Marks set-up as done; false when there is no such row.
///
/// # Errors
/// As [`read`].
pub fn set_ready(url: &str, id: &DeploymentId) -> Result<bool, StoreError> {
    let mut conn = open(url)?;
    let row = diesel::update(deployment::table.find(id)).set(deployment::ready.eq(true));
    row.execute(&mut conn).map(|count| count > 0).map_err(of)
}

fn open(url: &str) -> Result<Conn, StoreError> {
    let mut conn = Conn::open(&Location::parse(url)?, Access::Admin, BUSY)?;
    migrate::check(&mut conn)?;
    Ok(conn)
}

fn of(error: diesel::result::Error) -> StoreError {
    StoreError::of(TABLE, error)
}
