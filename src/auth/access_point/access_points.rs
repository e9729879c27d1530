//! Access points: made, changed, deleted, listed.
//!
//! Owns: that the policies of an access point exist. Must not know: what they say. Called by: api.

use super::grammar::{from_text, to_text};
use super::{AccessPoints, Page};
use crate::auth::Caller;
use crate::auth::access_point::grammar::absent;
use crate::base::ids::{AccessPointName, AccessPolicyName, AccountId};
use crate::error::Error;
use crate::store::{Abort, AccessPointRow, StoreError, Tx};

/// An access point about to be made.
pub struct NewPoint {
    /// Unique in the account.
    pub name: AccessPointName,
    /// For people.
    pub description: String,
    /// Its policies; they exist.
    pub policies: Vec<AccessPolicyName>,
}

/// What changes; none stays.
pub struct PointChange {
    /// Its description.
    pub description: Option<String>,
    /// Its policies.
    pub policies: Option<Vec<AccessPolicyName>>,
}

/// An access point.
pub struct Point {
    /// Its name.
    pub name: AccessPointName,
    /// For people.
    pub description: String,
    /// Its policies.
    pub policies: Vec<AccessPolicyName>,
}

impl AccessPoints {
    /// Makes an access point.
    ///
    /// # Errors
    /// [`Error::ResourceExists`]; [`Error::ResourceNotFound`] for a policy that does not exist; [`Error::Unavailable`].
    pub fn point_create(&self, caller: &Caller, new: &NewPoint) -> Result<(), Error> {
        let row = AccessPointRow {
            account_id: caller.account.clone(),
            name: new.name.clone(),
            description: new.description.clone(),
            policies: to_text(&new.policies)?,
            created_at: caller.now(),
        };
        self.store.commit(&caller.effect, "access_point_create", |tx| {
            all_exist(tx, &caller.account, &new.policies)?;
            match tx.access_point_insert(&row) {
                Err(StoreError::Conflict) => Err(Abort::App(Error::ResourceExists)),
                other => Ok(other?),
            }
        })
    }

    /// An access point.
    ///
    /// # Errors
    /// [`Error::ResourceNotFound`], [`Error::Unavailable`].
    pub fn point(&self, caller: &Caller, name: &AccessPointName) -> Result<Point, Error> {
        self.store.read("access_point", |tx| shown(find(tx, &caller.account, name)?))
    }

    /// Changes an access point. What its client keys may do changes on every node within a second.
    ///
    /// # Errors
    /// As [`AccessPoints::point_create`], and [`Error::ResourceNotFound`] for the access point.
    pub fn point_update(&self, caller: &Caller, name: &AccessPointName, change: &PointChange) -> Result<(), Error> {
        let policies = change.policies.as_deref().map(to_text).transpose()?;
        self.store.commit(&caller.effect, "access_point_update", |tx| {
            let old = find(tx, &caller.account, name)?;
            all_exist(tx, &caller.account, change.policies.as_deref().unwrap_or_default())?;
            let new = AccessPointRow {
                description: change.description.clone().unwrap_or_else(|| old.description.clone()),
                policies: policies.clone().unwrap_or_else(|| old.policies.clone()),
                ..old.clone()
            };
            tx.access_point_update(&old, &new)?;
            Ok(())
        })
    }

    /// Deletes an access point with its client keys.
    ///
    /// # Errors
    /// [`Error::ResourceNotFound`], [`Error::Unavailable`].
    pub fn point_delete(&self, caller: &Caller, name: &AccessPointName) -> Result<(), Error> {
        self.store.commit(&caller.effect, "access_point_delete", |tx| {
            for key in tx.client_keys_of(&caller.account, Some(name))? {
                tx.client_key_delete(&key)?;
            }
            if tx.access_point_delete(&caller.account, name)? { Ok(()) } else { Err(absent("access point", name)) }
        })
    }

    /// A page of the account's access points, by name.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn points(&self, caller: &Caller, offset: i64, limit: i64) -> Result<Page<AccessPointName>, Error> {
        self.store.read("access_points", |tx| {
            let rows = tx.access_points_page(&caller.account, offset, limit)?;
            let total = tx.access_point_count(&caller.account)?;
            Ok(Page { items: rows.into_iter().map(|row| row.name).collect(), total })
        })
    }
}

/// An access point of the account.
pub(super) fn find(tx: &mut Tx<'_>, account: &AccountId, name: &AccessPointName) -> Result<AccessPointRow, Abort<Error>> {
    tx.access_point_by_name(account, name)?.ok_or_else(|| absent("access point", name))
}

fn shown(row: AccessPointRow) -> Result<Point, Abort<Error>> {
    Ok(Point { policies: from_text(&row.policies)?, name: row.name, description: row.description })
}

fn all_exist(tx: &mut Tx<'_>, account: &AccountId, policies: &[AccessPolicyName]) -> Result<(), Abort<Error>> {
    for name in policies {
        tx.access_policy_by_name(account, name)?.ok_or_else(|| absent("policy", name))?;
    }
    Ok(())
}
