//! Every key version with what hangs on it: for inventories, backups and the drill.
//!
//! Owns: those questions. Must not know: the token. Called by: admin.

use std::collections::HashMap;

use diesel::QueryableByName;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Binary, Text};

use crate::base::ids::{KeyId, KeyVersionId};
use crate::base::words::{KeyState, MaterialState, Origin};
use crate::store::engine::connection::{Conn, per_backend};
use crate::store::engine::schema::{aliases, key_materials, key_versions, keys};
use crate::store::engine::statements::all;
use crate::store::engine::tx::every;
use crate::store::{AliasRow, KeyMaterialRow, KeyRow, KeyVersionRow, StoreError, Tx};

/// A key version, and what hangs on it.
#[derive(Debug, Clone)]
pub struct HeldVersion {
    /// Its key.
    pub key: KeyRow,
    /// Itself.
    pub version: KeyVersionRow,
    /// The key's aliases.
    pub aliases: Vec<String>,
    /// Secrets that have a version whose data key it wraps.
    pub secrets: i64,
    /// Where its material is, of an EXTERNAL key that something was imported for.
    pub material: Option<MaterialState>,
}

impl HeldVersion {
    /// Whether the token must have its object: made here and not deleted, or imported and not gone since.
    pub fn needs_object(&self) -> bool {
        let made = self.key.origin == Origin::Service || self.material == Some(MaterialState::Present);
        self.version.ready && self.key.state != KeyState::Deleted && made
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    secrets: i64,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// How many secrets each key version wraps.
const COUNTS: &str =
    "SELECT key_version_id AS id, count(DISTINCT secret_id) AS secrets FROM secret_versions GROUP BY key_version_id";

/// Which ones.
const NAMES: &str = "SELECT DISTINCT s.name || ' of ' || s.account_id AS name FROM secrets s \
     JOIN secret_versions v ON v.secret_id = s.id WHERE v.key_version_id = $1 ORDER BY name";

impl Tx<'_> {
    /// Every version of every key.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn held_versions(&mut self) -> Result<Vec<HeldVersion>, StoreError> {
        let keys: Vec<KeyRow> = all!(self, keys: KeyRow, keys::table.order(keys::id), |row| every(row))?;
        let versions: Vec<KeyVersionRow> =
            all!(self, key_versions: KeyVersionRow, key_versions::table.order(key_versions::created_at), |row| every(row))?;
        let names: Vec<AliasRow> = all!(self, aliases: AliasRow, aliases::table.order(aliases::name), |row| every(row))?;
        let counts: Vec<Count> = self.run("secret_versions", |conn| match conn {
            Conn::Postgres(conn) => sql_query(COUNTS).load(conn),
            Conn::Sqlite(conn) => sql_query(COUNTS).load(conn),
        })?;
        let materials: Vec<KeyMaterialRow> = all!(self, key_materials: KeyMaterialRow, key_materials::table.order(key_materials::key_version_id), |row| every(row))?;
        let materials: HashMap<KeyVersionId, MaterialState> =
            materials.into_iter().map(|material| (material.key_version_id, material.state)).collect();
        let counts: HashMap<Vec<u8>, i64> = counts.into_iter().map(|count| (count.id, count.secrets)).collect();
        let keys: HashMap<KeyId, KeyRow> = keys.into_iter().map(|key| (key.id, key)).collect();
        let mut held = Vec::with_capacity(versions.len());
        for version in versions {
            let Some(key) = keys.get(&version.key_id).cloned() else { continue };
            let of_key = names.iter().filter(|alias| alias.key_id == key.id);
            let aliases = of_key.map(|alias| alias.name.to_string()).collect();
            let secrets = counts.get(&version.id.as_bytes()[..]).copied().unwrap_or_default();
            let material = materials.get(&version.id).copied();
            held.push(HeldVersion { key, version, aliases, secrets, material });
        }
        Ok(held)
    }

    /// The secrets that a key version wraps, by name and account, at most so many.
    ///
    /// # Errors
    /// As any read.
    pub fn secrets_under_version(&mut self, id: &KeyVersionId, limit: i64) -> Result<Vec<String>, StoreError> {
        let id = id.as_bytes().to_vec();
        let names: Vec<Name> = self.run(
            "secrets",
            per_backend!(|conn| { sql_query(format!("{NAMES} LIMIT {limit}")).bind::<Binary, _>(&id).load(conn) }),
        )?;
        Ok(names.into_iter().map(|name| name.name).collect())
    }
}
