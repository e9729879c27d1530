//! The migrations that this program has, embedded from `migrations/`.
//!
//! Owns: the list. Must not know: connections, when they run. Called by: migrate, shape (what they make).

use diesel::SqliteConnection;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::result::QueryResult;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::store::engine::level::Levels;

pub(in crate::store) const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
pub(in crate::store) const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// What a program that is told to be its own successor has in addition; see [`Levels::served`].
#[cfg(debug_assertions)]
const REHEARSAL: [EmbeddedMigrations; 2] =
    [embed_migrations!("migrations/rehearsal/sqlite"), embed_migrations!("migrations/rehearsal/postgres")];

/// The migrations that a program with these levels has.
#[cfg_attr(not(debug_assertions), allow(dead_code))]
pub(in crate::store) struct Known(pub(in crate::store) EmbeddedMigrations, pub(in crate::store) Levels);

impl MigrationSource<diesel::sqlite::Sqlite> for Known {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<diesel::sqlite::Sqlite>>>> {
        let known = MigrationSource::<diesel::sqlite::Sqlite>::migrations(&self.0)?;
        #[cfg(debug_assertions)]
        if self.1.rehearses() {
            let more = MigrationSource::<diesel::sqlite::Sqlite>::migrations(&REHEARSAL[0])?;
            return Ok(known.into_iter().chain(more).collect());
        }
        Ok(known)
    }
}

impl MigrationSource<diesel::pg::Pg> for Known {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<diesel::pg::Pg>>>> {
        let known = MigrationSource::<diesel::pg::Pg>::migrations(&self.0)?;
        #[cfg(debug_assertions)]
        if self.1.rehearses() {
            let more = MigrationSource::<diesel::pg::Pg>::migrations(&REHEARSAL[1])?;
            return Ok(known.into_iter().chain(more).collect());
        }
        Ok(known)
    }
}

/// Makes the schema in an empty database of SQLite; answers the versions of the migrations.
pub(in crate::store) fn make(conn: &mut SqliteConnection) -> QueryResult<Vec<String>> {
    let known = || Known(SQLITE, Levels::served());
    let failed = diesel::result::Error::QueryBuilderError;
    conn.run_pending_migrations(known()).map_err(failed)?;
    let applied = MigrationHarness::<diesel::sqlite::Sqlite>::applied_migrations(conn).map_err(failed)?;
    let mut versions: Vec<String> = applied.iter().map(MigrationVersion::to_string).collect();
    versions.sort();
    Ok(versions)
}
