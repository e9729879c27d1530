//! Network rules: made, changed, deleted, listed.
//!
//! Owns: that no rule in use is deleted. Must not know: how addresses are compared. Called by: api.

use super::grammar::{SourceNet, from_text, to_text};
use super::{AccessPoints, Page};
use crate::auth::Caller;
use crate::auth::access_point::grammar::absent;
use crate::base::ids::{AccountId, NetworkRuleName};
use crate::error::Error;
use crate::store::{Abort, NetworkRuleRow, StoreError, Tx};

/// A rule about to be made.
pub struct NewRule {
    /// Unique in the account.
    pub name: NetworkRuleName,
    /// For people.
    pub description: String,
    /// From where; without any, from nowhere.
    pub source_ips: Vec<SourceNet>,
}

/// What changes; none stays.
pub struct RuleChange {
    /// Its description.
    pub description: Option<String>,
    /// From where.
    pub source_ips: Option<Vec<SourceNet>>,
}

/// A rule as it is.
pub type Rule = NewRule;

impl AccessPoints {
    /// Makes a rule.
    ///
    /// # Errors
    /// [`Error::ResourceExists`], [`Error::Unavailable`].
    pub fn rule_create(&self, caller: &Caller, new: &NewRule) -> Result<(), Error> {
        let row = NetworkRuleRow {
            account_id: caller.account.clone(),
            name: new.name.clone(),
            description: new.description.clone(),
            source_ips: to_text(&new.source_ips)?,
            created_at: caller.now(),
        };
        self.store.commit(&caller.effect, "network_rule_create", |tx| match tx.network_rule_insert(&row) {
            Err(StoreError::Conflict) => Err(Abort::App(Error::ResourceExists)),
            other => Ok(other?),
        })
    }

    /// A rule.
    ///
    /// # Errors
    /// [`Error::ResourceNotFound`], [`Error::Unavailable`].
    pub fn rule(&self, caller: &Caller, name: &NetworkRuleName) -> Result<Rule, Error> {
        self.store.read("network_rule", |tx| {
            let row = find(tx, &caller.account, name)?;
            Ok(Rule { source_ips: from_text(&row.source_ips)?, name: row.name, description: row.description })
        })
    }

    /// Changes a rule. From where client keys may be used changes on every node within a second.
    ///
    /// # Errors
    /// [`Error::ResourceNotFound`], [`Error::Unavailable`].
    pub fn rule_update(&self, caller: &Caller, name: &NetworkRuleName, change: &RuleChange) -> Result<(), Error> {
        let source_ips = change.source_ips.as_deref().map(to_text).transpose()?;
        self.store.commit(&caller.effect, "network_rule_update", |tx| {
            let old = find(tx, &caller.account, name)?;
            let new = NetworkRuleRow {
                description: change.description.clone().unwrap_or_else(|| old.description.clone()),
                source_ips: source_ips.clone().unwrap_or_else(|| old.source_ips.clone()),
                ..old.clone()
            };
            tx.network_rule_update(&old, &new)?;
            Ok(())
        })
    }

    /// Deletes a rule that no policy has.
    ///
    /// # Errors
    /// [`Error::ResourceInUse`], [`Error::ResourceNotFound`], [`Error::Unavailable`].
    pub fn rule_delete(&self, caller: &Caller, name: &NetworkRuleName) -> Result<(), Error> {
        self.store.commit(&caller.effect, "network_rule_delete", |tx| {
            for policy in tx.access_policies_page(&caller.account, 0, i64::MAX)? {
                if from_text::<NetworkRuleName>(&policy.network_rules)?.contains(name) {
                    return Err(Abort::App(Error::ResourceInUse { by: "policy", name: policy.name.to_string() }));
                }
            }
            if tx.network_rule_delete(&caller.account, name)? { Ok(()) } else { Err(absent("network rule", name)) }
        })
    }

    /// A page of the account's rules, by name.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn rules(&self, caller: &Caller, offset: i64, limit: i64) -> Result<Page<NetworkRuleName>, Error> {
        self.store.read("network_rules", |tx| {
            let rows = tx.network_rules_page(&caller.account, offset, limit)?;
            let total = tx.network_rule_count(&caller.account)?;
            Ok(Page { items: rows.into_iter().map(|row| row.name).collect(), total })
        })
    }
}

fn find(tx: &mut Tx<'_>, account: &AccountId, name: &NetworkRuleName) -> Result<NetworkRuleRow, Abort<Error>> {
    tx.network_rule_by_name(account, name)?.ok_or_else(|| absent("network rule", name))
}
