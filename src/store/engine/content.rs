//! The column of a secret that binds what belongs to it.
//!
//! Owns: how it stands in the database. Must not know: what is under its mask (`ledger::contents`). Called by: the rows of secrets.

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Binary;

/// What belongs to a secret, as the store alone can read it. Empty where nothing does.
#[derive(Debug, Clone, Default, AsExpression, FromSqlRow)]
#[diesel(sql_type = Binary)]
pub struct Content(pub(in crate::store) Vec<u8>);

/// Equal to any other: what it says under its mask is the store's own, and rows of secrets are compared by all else.
impl PartialEq for Content {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Content {}

impl Content {
    /// Its bytes, as the MAC of the secret binds them.
    pub(in crate::store) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<DB: Backend> ToSql<Binary, DB> for Content
where
    [u8]: ToSql<Binary, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        <[u8] as ToSql<Binary, DB>>::to_sql(&self.0, out)
    }
}

impl<DB: Backend> FromSql<Binary, DB> for Content
where
    Vec<u8>: FromSql<Binary, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(<Vec<u8> as FromSql<Binary, DB>>::from_sql(value)?))
    }
}
