//! How the newtypes of ids, kinds and clock stand in columns: ids as 16 bytes, names and words as text, times as milliseconds.
//!
//! Owns: the conversions, written once for any backend. Must not know: tables. Called by: diesel, through the row structs.

// The structs below only carry a derive to a type of another module.
#![allow(dead_code)]

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::{BigInt, Binary, SmallInt, Text};

use crate::base::clock::Timestamp;
use crate::base::ids::{
    AccessKeyId, AccessPointName, AccessPolicyName, AccountId, AccountName, Alias, DeploymentId, InstanceId, KeyId,
    KeyVersionId, KmsInstanceId, NetworkRuleName, NodeId, PolicyName, Region, RequestId, SecretId, SecretName,
    SecretVersionUuid, Stage, UserId, UserName, VersionId,
};
use crate::base::words::{
    DataType, ImportAlgorithm, KeySpec, KeyState, KeyUsage, MaterialState, Origin, ProtectionLevel, SecretSubType, SecretType,
    Suite,
};
use crate::store::engine::level::Level;

macro_rules! column {
    ($($name:ident: $sql:ident;)*) => {$(
        const _: () = {
            #[derive(AsExpression, FromSqlRow)]
            #[diesel(foreign_derive)]
            #[diesel(sql_type = $sql)]
            struct Column($name);
        };
    )*};
}

column! {
    DeploymentId: Binary; KeyId: Binary; KeyVersionId: Binary; NodeId: Binary; RequestId: Binary; SecretId: Binary;
    SecretVersionUuid: Binary; UserId: Binary;
    AccessKeyId: Text; AccessPointName: Text; AccessPolicyName: Text; NetworkRuleName: Text; AccountId: Text; AccountName: Text; InstanceId: Text; KmsInstanceId: Text; Alias: Text; PolicyName: Text; Region: Text; SecretName: Text; Stage: Text;
    UserName: Text; VersionId: Text;
    DataType: Text; ImportAlgorithm: Text; KeySpec: Text; KeyState: Text; KeyUsage: Text; MaterialState: Text; Origin: Text;
    ProtectionLevel: Text; SecretSubType: Text; SecretType: Text;
    Level: SmallInt; Suite: SmallInt; Timestamp: BigInt;
}

macro_rules! sixteen_bytes {
    ($($name:ident),*) => {$(
        impl<DB: Backend> ToSql<Binary, DB> for $name
        where
            [u8]: ToSql<Binary, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                <[u8] as ToSql<Binary, DB>>::to_sql(self.as_bytes(), out)
            }
        }

        impl<DB: Backend> FromSql<Binary, DB> for $name
        where
            Vec<u8>: FromSql<Binary, DB>,
        {
            fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
                let bytes = <Vec<u8> as FromSql<Binary, DB>>::from_sql(value)?;
                let bytes = <[u8; 16]>::try_from(bytes).map_err(|_| "expected an id of 16 bytes")?;
                Ok(Self::from_bytes(bytes))
            }
        }
    )*};
}

sixteen_bytes!(DeploymentId, KeyId, KeyVersionId, NodeId, RequestId, SecretId, SecretVersionUuid, UserId);

macro_rules! text {
    ($($name:ident),*) => {$(
        impl<DB: Backend> ToSql<Text, DB> for $name
        where
            str: ToSql<Text, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                <str as ToSql<Text, DB>>::to_sql(self.as_str(), out)
            }
        }

        impl<DB: Backend> FromSql<Text, DB> for $name
        where
            String: FromSql<Text, DB>,
        {
            fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
                Ok(<String as FromSql<Text, DB>>::from_sql(value)?.parse()?)
            }
        }
    )*};
}

text!(
    AccessKeyId,
    AccessPointName,
    AccessPolicyName,
    NetworkRuleName,
    AccountId,
    AccountName,
    InstanceId,
    KmsInstanceId,
    Alias,
    PolicyName,
    Region,
    SecretName,
    Stage,
    UserName,
    VersionId
);
text!(
    DataType,
    ImportAlgorithm,
    KeySpec,
    KeyState,
    KeyUsage,
    MaterialState,
    Origin,
    ProtectionLevel,
    SecretSubType,
    SecretType
);

impl<DB: Backend> ToSql<SmallInt, DB> for Suite
where
    i16: ToSql<SmallInt, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        // What is bound must outlive the call: a constant for each suite.
        let number: &'static i16 = match self {
            Suite::AesGcmCallerIv => &(Suite::AesGcmCallerIv as i16),
            Suite::AesGcmTokenIv => &(Suite::AesGcmTokenIv as i16),
            Suite::AesGcmAppendedIv => &(Suite::AesGcmAppendedIv as i16),
            Suite::AesCbcHmac => &(Suite::AesCbcHmac as i16),
        };
        <i16 as ToSql<SmallInt, DB>>::to_sql(number, out)
    }
}

impl<DB: Backend> FromSql<SmallInt, DB> for Suite
where
    i16: FromSql<SmallInt, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let number = <i16 as FromSql<SmallInt, DB>>::from_sql(value)?;
        Suite::from_number(number).ok_or_else(|| "expected a known suite".into())
    }
}

/// Every number of a level: what is bound must outlive the call.
const LEVELS: [i16; 256] = {
    let mut levels = [0; 256];
    let mut n = 0;
    while n < 256 {
        levels[n] = n as i16;
        n += 1;
    }
    levels
};

impl<DB: Backend> ToSql<SmallInt, DB> for Level
where
    i16: ToSql<SmallInt, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        let number: &'static i16 = &LEVELS[usize::from(self.0)];
        <i16 as ToSql<SmallInt, DB>>::to_sql(number, out)
    }
}

impl<DB: Backend> FromSql<SmallInt, DB> for Level
where
    i16: FromSql<SmallInt, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let number = <i16 as FromSql<SmallInt, DB>>::from_sql(value)?;
        Ok(Level(number.try_into().map_err(|_| "expected a level")?))
    }
}

impl<DB: Backend> ToSql<BigInt, DB> for Timestamp
where
    i64: ToSql<BigInt, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        <i64 as ToSql<BigInt, DB>>::to_sql(&self.0, out)
    }
}

impl<DB: Backend> FromSql<BigInt, DB> for Timestamp
where
    i64: FromSql<BigInt, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Timestamp(<i64 as FromSql<BigInt, DB>>::from_sql(value)?))
    }
}
