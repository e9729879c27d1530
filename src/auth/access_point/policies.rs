//! Policies of access points: made, changed, deleted, listed.
//!
//! Owns: that a policy's network rules exist, and that no policy in use is deleted. Must not know: what a policy grants (`grant`).
//! Called by: api.

use super::grammar::{AccessResource, from_text, to_text};
use super::{AccessPoints, Page};
use crate::auth::Caller;
use crate::auth::access_point::grammar::absent;
use crate::base::ids::{AccessPolicyName, AccountId, NetworkRuleName};
use crate::base::words::AccessPermission;
use crate::error::Error;
use crate::store::{Abort, AccessPolicyRow, StoreError, Tx};

/// A policy about to be made.
pub struct NewPolicy {
    /// Unique in the account.
    pub name: AccessPolicyName,
    /// For people.
    pub description: String,
    /// Kept, and otherwise not looked at: there are no instances here.
    pub kms_instance: String,
    /// What it allows.
    pub permissions: Vec<AccessPermission>,
    /// On what.
    pub resources: Vec<AccessResource>,
    /// From where; none is from everywhere. They exist.
    pub network_rules: Vec<NetworkRuleName>,
}

/// What changes; none stays.
pub struct PolicyChange {
    /// Its description.
    pub description: Option<String>,
    /// What it allows.
    pub permissions: Option<Vec<AccessPermission>>,
    /// On what.
    pub resources: Option<Vec<AccessResource>>,
    /// From where.
    pub network_rules: Option<Vec<NetworkRuleName>>,
}

/// A policy as it is.
pub type PointPolicy = NewPolicy;

impl AccessPoints {
    /// Makes a policy.
    ///
    /// # Errors
    /// [`Error::ResourceExists`]; [`Error::ResourceNotFound`] for a network rule that does not exist; [`Error::Unavailable`].
    pub fn policy_create(&self, caller: &Caller, new: &NewPolicy) -> Result<(), Error> {
        let row = AccessPolicyRow {
            account_id: caller.account.clone(),
            name: new.name.clone(),
            description: new.description.clone(),
            kms_instance: new.kms_instance.clone(),
            permissions: to_text(&new.permissions)?,
            resources: to_text(&new.resources)?,
            network_rules: to_text(&new.network_rules)?,
            created_at: caller.now(),
        };
        self.store.commit(&caller.effect, "access_policy_create", |tx| {
            all_exist(tx, &caller.account, &new.network_rules)?;
            match tx.access_policy_insert(&row) {
                Err(StoreError::Conflict) => Err(Abort::App(Error::ResourceExists)),
                other => Ok(other?),
            }
        })
    }

    /// A policy.
    ///
    /// # Errors
    /// [`Error::ResourceNotFound`], [`Error::Unavailable`].
    pub fn policy(&self, caller: &Caller, name: &AccessPolicyName) -> Result<PointPolicy, Error> {
        self.store.read("access_policy", |tx| {
            let row = find(tx, &caller.account, name)?;
            Ok(PointPolicy {
                permissions: from_text(&row.permissions)?,
                resources: from_text(&row.resources)?,
                network_rules: from_text(&row.network_rules)?,
                name: row.name,
                description: row.description,
                kms_instance: row.kms_instance,
            })
        })
    }

    /// Changes a policy. What client keys may do by it changes on every node within a second.
    ///
    /// # Errors
    /// [`Error::ResourceNotFound`] for the policy or a network rule; [`Error::Unavailable`].
    pub fn policy_update(&self, caller: &Caller, name: &AccessPolicyName, change: &PolicyChange) -> Result<(), Error> {
        let permissions = change.permissions.as_deref().map(to_text).transpose()?;
        let resources = change.resources.as_deref().map(to_text).transpose()?;
        let network_rules = change.network_rules.as_deref().map(to_text).transpose()?;
        self.store.commit(&caller.effect, "access_policy_update", |tx| {
            let old = find(tx, &caller.account, name)?;
            all_exist(tx, &caller.account, change.network_rules.as_deref().unwrap_or_default())?;
            let new = AccessPolicyRow {
                description: change.description.clone().unwrap_or_else(|| old.description.clone()),
                permissions: permissions.clone().unwrap_or_else(|| old.permissions.clone()),
                resources: resources.clone().unwrap_or_else(|| old.resources.clone()),
                network_rules: network_rules.clone().unwrap_or_else(|| old.network_rules.clone()),
                ..old.clone()
            };
            tx.access_policy_update(&old, &new)?;
            Ok(())
        })
    }

    /// Deletes a policy that no access point has.
    ///
    /// # Errors
    /// [`Error::ResourceInUse`], [`Error::ResourceNotFound`], [`Error::Unavailable`].
    pub fn policy_delete(&self, caller: &Caller, name: &AccessPolicyName) -> Result<(), Error> {
        self.store.commit(&caller.effect, "access_policy_delete", |tx| {
            for point in tx.access_points_page(&caller.account, 0, i64::MAX)? {
                if from_text::<AccessPolicyName>(&point.policies)?.contains(name) {
                    let by = "application access point";
                    return Err(Abort::App(Error::ResourceInUse { by, name: point.name.to_string() }));
                }
            }
            if tx.access_policy_delete(&caller.account, name)? { Ok(()) } else { Err(absent("policy", name)) }
        })
    }

    /// A page of the account's policies, by name.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn policies(&self, caller: &Caller, offset: i64, limit: i64) -> Result<Page<AccessPolicyName>, Error> {
        self.store.read("access_policies", |tx| {
            let rows = tx.access_policies_page(&caller.account, offset, limit)?;
            let total = tx.access_policy_count(&caller.account)?;
            Ok(Page { items: rows.into_iter().map(|row| row.name).collect(), total })
        })
    }
}

fn find(tx: &mut Tx<'_>, account: &AccountId, name: &AccessPolicyName) -> Result<AccessPolicyRow, Abort<Error>> {
    tx.access_policy_by_name(account, name)?.ok_or_else(|| absent("policy", name))
}

fn all_exist(tx: &mut Tx<'_>, account: &AccountId, rules: &[NetworkRuleName]) -> Result<(), Abort<Error>> {
    for name in rules {
        tx.network_rule_by_name(account, name)?.ok_or_else(|| absent("network rule", name))?;
    }
    Ok(())
}
