//! The names of secrets as a tree: one level of it at a time.
//!
//! Owns: what a level is. Must not know: HTTP, SQL. Called by: api::versions.
//!
//! Names are one flat list in order; a level is found by steps over its index, each of which passes all that lies under one name. So a
//! level costs what it shows, however many secrets there are below it or beside it.

use std::collections::BTreeSet;

use crate::auth::Caller;
use crate::error::Error;
use crate::secrets::Secrets;

/// How many names one step reads.
const STEP: i64 = 100;

/// Entries of a level that are given at once, at most.
const MAX_ENTRIES: usize = 100_000;

impl Secrets {
    /// What stands directly under a prefix, which is empty or ends with `/`: names behind it, and with a `/` at the end those under which
    /// there is more. In order, those behind `after`, and so many of them at most. Names with an empty segment, `.` or `..` are left out: no path leads to them, and who follows them never ends.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] where more than 100,000 are wanted and there; [`Error::Unavailable`].
    pub fn level(&self, caller: &Caller, prefix: &str, after: &str, limit: usize) -> Result<Vec<String>, Error> {
        let (account, now, mut found) = (&caller.account, caller.now(), BTreeSet::new());
        // The first name that may come; with the mark that what begins with it is left out as a whole.
        let mut from = format!("{prefix}{after}");
        // Entries come in order, as names do.
        while found.len() < limit {
            let names = self.store.read_rows("secrets_level", |tx| tx.secret_names_from(account, now, &from, prefix, STEP))?;
            let Some(last) = names.last() else { break };
            // Names are ASCII: the next one behind a name is that with the lowest character added.
            let mut next = format!("{last}!");
            for name in names.iter().filter(|name| !name.as_str().split('/').any(|part| matches!(part, "" | "." | ".."))) {
                let rest = &name.as_str()[prefix.len()..];
                match rest.find('/') {
                    None => found.extend((rest > after).then(|| rest.to_owned())),
                    Some(end) => {
                        let entry = &rest[..=end];
                        found.extend((entry > after).then(|| entry.to_owned()));
                        // '0' follows '/'.
                        next = next.max(format!("{prefix}{}0", &rest[..end]));
                    }
                }
            }
            if found.len().min(limit) > MAX_ENTRIES {
                return Err(Error::LimitExceeded { most: MAX_ENTRIES as i64, of: "names in a list" });
            }
            if (names.len() as i64) < STEP {
                break;
            }
            from = next;
        }
        Ok(found.into_iter().take(limit).collect())
    }
}
