//! Tags: what may stand on a key or a secret, and finding what carries them.
//!
//! Owns: the number of tags on a resource, pages of tagged resources. Must not know: states of keys and secrets, HTTP, SQL.
//! Called by: keys and secrets, for their own kind. Source of the rules: the pages of TagResource, TagResources, ListTagResources.

use std::collections::BTreeSet;

use crate::base::canonical::{Canonical, Purpose};
use crate::base::field::Field;
use crate::base::ids::AccountId;
use crate::base::words::ResourceType;
use crate::error::Error;
use crate::store::{Abort, TagRow, Tagged, Tx};

/// Tags on one resource.
pub const MAX_TAGS: i64 = 20;

/// Tags on one page of ListTagResources.
const PAGE: usize = 200;

/// What is to be done to the tags of a resource.
#[derive(Debug)]
pub enum Change {
    /// These keys get these values, whatever they had.
    Set(Vec<(String, String)>),
    /// These keys are removed, where they are.
    Remove(Vec<String>),
    /// All are removed.
    RemoveAll,
}

/// Keys and values.
pub type Pairs = Vec<(String, String)>;

/// A key, and its value where that counts too.
pub type Filter = (String, Option<String>);

/// What is asked of a list of tagged resources.
#[derive(Debug)]
pub struct Query<'a> {
    /// The owner.
    pub account: &'a AccountId,
    /// The kind.
    pub kind: ResourceType,
    /// Only these; none for any.
    pub among: Option<BTreeSet<Tagged>>,
    /// Only those that have all of these.
    pub filters: &'a [Filter],
    /// Where the page before ended, as it said itself.
    pub after: Option<&'a str>,
}

impl Query<'_> {
    /// What is asked, whatever page of it.
    fn question(&self) -> Canonical {
        let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        let mut asked = Canonical::new(Purpose::Row).text(self.account.as_str()).integer(count(self.filters.len()));
        for (key, value) in self.filters {
            asked = asked.text(key).optional(value.as_deref().map(str::as_bytes));
        }
        let among = self.among.iter().flatten();
        among.fold(asked.integer(self.among.as_ref().map_or(-1, |all| count(all.len()))), |asked, on| asked.field(on.bytes()))
    }
}

/// One page of tagged resources.
#[derive(Debug)]
pub struct TaggedPage {
    /// The name of a resource with each of its tags.
    pub tags: Vec<(String, TagRow)>,
    /// Where the next page begins; none at the end. Good for this question only.
    pub next: Option<String>,
}

/// More tags than a resource may have.
pub fn full() -> Error {
    Error::LimitExceeded { most: MAX_TAGS, of: "tags on a key or secret" }
}

/// Changes the tags of a resource.
///
/// # Errors
/// [`Error::LimitExceeded`] when it would have more than [`MAX_TAGS`].
pub fn apply(tx: &mut Tx<'_>, account: &AccountId, on: Tagged, change: &Change) -> Result<(), Abort<Error>> {
    match change {
        Change::Set(tags) => {
            for (key, value) in tags {
                tx.tag_put(account, on, key, value)?;
            }
            if tx.tags_count(on)? > MAX_TAGS {
                return Err(Abort::App(full()));
            }
        }
        Change::Remove(keys) => {
            for key in keys {
                tx.tag_delete(on, key)?;
            }
        }
        Change::RemoveAll => tx.tags_delete(on)?,
    }
    Ok(())
}

/// A page of tagged resources with all their tags, a resource always whole. `name` is what a resource is called, none for one
/// that is not to be seen.
///
/// # Errors
/// [`Error::Invalid`] for a place that no page of this account and kind has given.
pub fn page(
    tx: &mut Tx<'_>,
    query: &Query<'_>,
    name: impl Fn(&mut Tx<'_>, Tagged) -> Result<Option<String>, Abort<Error>>,
) -> Result<TaggedPage, Abort<Error>> {
    let question = query.question();
    let after = match query.after {
        None => None,
        Some(token) => {
            let place = tx.tag_place_open(question.as_bytes(), query.kind, token);
            Some(place.ok_or(Abort::App(Error::invalid_since(
                Field::NextToken,
                "It must be the one of the page before, of the same question.",
            )))?)
        }
    };
    let (mut tags, mut last) = (Vec::new(), None);
    for on in selected(tx, query)?.into_iter().filter(|on| after.is_none_or(|after| *on > after)) {
        let Some(name) = name(tx, on)? else { continue };
        let of_one = tx.tags_of(on)?;
        if tags.len() + of_one.len() > PAGE {
            return Ok(TaggedPage { tags, next: last.map(|on| tx.tag_place_seal(question.as_bytes(), on)) });
        }
        tags.extend(of_one.into_iter().map(|tag| (name.clone(), tag)));
        last = Some(on);
    }
    Ok(TaggedPage { tags, next: None })
}

/// The resources that a query is about, in the order of pages.
fn selected(tx: &mut Tx<'_>, query: &Query<'_>) -> Result<BTreeSet<Tagged>, Abort<Error>> {
    let mut selected = query.among.clone();
    for (key, value) in query.filters {
        let with: BTreeSet<_> = tx.tagged_with(query.account, query.kind, key, value.as_deref())?.into_iter().collect();
        selected = Some(match selected {
            None => with,
            Some(so_far) => so_far.intersection(&with).copied().collect(),
        });
    }
    Ok(selected.unwrap_or_default())
}
