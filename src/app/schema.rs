//! The database's schema at a start.
//!
//! Owns: whether a start applies migrations or refuses. Must not know: what they do. Called by: app::server, admin (`bulla check`).

use crate::app::base::url_of;
use crate::app::start_retry::StartRetry;
use crate::base::failure::Failure;
use crate::config::Config;
use crate::store::migrate;

/// Applies migrations, or refuses a database that needs them, as configured.
///
/// # Errors
/// When the database needs migrations that may not be applied at start.
pub(super) fn settle_schema(config: &Config, retry: StartRetry) -> Result<(), Failure> {
    if config.database.migrate_at_start {
        for name in retry.until("database", || migrate::run(&url_of(config)?))? {
            log::info!("migration {name} applied");
        }
        return Ok(());
    }
    none_pending(&retry.until("database", || migrate::pending(&url_of(config)?))?)
}

/// Refuses a database that lacks these migrations.
///
/// # Errors
/// When there are any.
pub fn none_pending(migrations: &[String]) -> Result<(), Failure> {
    match migrations {
        [] => Ok(()),
        names => Err(Failure::new(format!("database: pending migrations {}; run `bulla migrate`", names.join(", ")))),
    }
}
