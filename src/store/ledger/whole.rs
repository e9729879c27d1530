//! Every digest, compared with the rows that it counts.
//!
//! Owns: that look at the whole. Must not know: what else a proof looks at. Called by: verify.

use std::collections::HashSet;

use crate::store::engine::row_mac::Sealed;
use crate::store::engine::scope::Scope;
use crate::store::ledger::digests::{PartRow, ScopeRow};
use crate::store::{Flaw, StoreError, Tx};

impl Tx<'_> {
    /// What does not fit its digest: of the scopes that rows were found of and those that have a digest, and of all parts.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(in crate::store) fn digests_proved(&mut self, found: HashSet<Scope>) -> Result<Vec<Flaw>, StoreError> {
        let mut flaws = Vec::new();
        match self.rights() {
            Ok(rights) => {
                let counted = rights.digests.scopes().filter_map(Scope::of);
                let mut all: Vec<Scope> = found.into_iter().chain(counted).collect();
                all.sort_by_key(Scope::key);
                all.dedup();
                for scope in all {
                    match self.prove_scope(&scope, scope.key(), &rights) {
                        Ok(()) => {}
                        Err(StoreError::Corrupt { detail, .. }) => {
                            flaws.push(Flaw { table: ScopeRow::TABLE, row: scope.to_string(), what: detail });
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(StoreError::Corrupt { detail, .. }) => {
                flaws.push(Flaw { table: ScopeRow::TABLE, row: "all".to_owned(), what: detail });
            }
            Err(error) => return Err(error),
        }
        for part in 0..=u8::MAX {
            let strange = match self.part_check(part, None) {
                Ok(found) => found.told(),
                Err(StoreError::Corrupt { detail, .. }) => vec![detail],
                Err(error) => return Err(error),
            };
            flaws.extend(strange.into_iter().map(|what| Flaw { table: PartRow::TABLE, row: format!("part {part:02x}"), what }));
        }
        Ok(flaws)
    }
}
