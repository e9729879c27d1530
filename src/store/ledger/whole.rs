//! Every digest, compared with the rows that it counts.
//!
//! Owns: that look at the whole. Must not know: what else a proof looks at. Called by: verify.

use std::collections::{BTreeSet, HashSet};

use crate::store::engine::row_mac::Sealed;
use crate::store::engine::scope::Scope;
use crate::store::ledger::digests::{PartRow, ScopeRow};
use crate::store::{Flaw, StoreError, Tx};

impl Tx<'_> {
    /// What does not fit its digest, of the scopes and parts that rows were found of and those that have a digest.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(in crate::store) fn digests_proved(
        &mut self,
        found: HashSet<Scope>,
        mut parts: BTreeSet<u8>,
    ) -> Result<Vec<Flaw>, StoreError> {
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
        match self.part_rows() {
            // Verified: below 256.
            Ok(rows) => parts.extend(rows.iter().map(|found| found.row.part as u8)),
            Err(StoreError::Corrupt { detail, .. }) => {
                flaws.push(Flaw { table: PartRow::TABLE, row: "all".to_owned(), what: detail });
            }
            Err(error) => return Err(error),
        }
        for part in parts {
            let strange = match self.part_check(part, None) {
                Ok(found) => found.strange,
                Err(StoreError::Corrupt { detail, .. }) => vec![detail],
                Err(error) => return Err(error),
            };
            flaws.extend(strange.into_iter().map(|what| Flaw { table: PartRow::TABLE, row: format!("part {part:02x}"), what }));
        }
        Ok(flaws)
    }
}
