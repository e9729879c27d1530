//! Lists that come in pages, by number, while others make and delete what is in them.
//!
//! What is deleted on an earlier page moves the rest towards the beginning, and what is made moves it towards the end: pages that only follow
//! each other leave out the one and give the other twice. So each page begins with the last entry of the one before, or earlier, and the
//! list goes on behind that entry; where it is not there any more, the list goes back. The total that pages tell is no help here: one that
//! is deleted and another that is made leave it as it was.

use serde::de::DeserializeOwned;

use crate::client::{Client, Request};
use crate::error::Error;

/// Entries of one page at most.
const PAGE: usize = 100;

/// How often a list goes back before it is given up.
const MOST_STEPS_BACK: u32 = 100;

impl Client {
    /// All entries of a list, in its order: each once, and none left out that was there all the time. A page gives the total and its
    /// entries; the request has all but which page.
    pub(crate) fn list<P: DeserializeOwned, T>(
        &self,
        request: impl Fn() -> Request,
        entries: impl Fn(P) -> (usize, Vec<T>),
        name: impl Fn(&T) -> &str,
    ) -> Result<Vec<T>, Error> {
        let mut all: Vec<T> = Vec::new();
        let mut steps_back = 0;
        loop {
            let (number, size) = page_over(all.len().saturating_sub(1));
            let asked = request().with("PageNumber", number.to_string()).with("PageSize", size.to_string());
            let action = asked.action;
            let (total, mut page) = entries(self.call(&asked)?);
            let is_last = (number - 1) * size + page.len() >= total;
            let goes_on = match all.last() {
                None => Some(0),
                Some(last) => page.iter().position(|entry| name(entry) == name(last)).map(|place| place + 1),
            };
            match goes_on {
                Some(place) if is_last || place < page.len() => all.extend(page.drain(place..)),
                _ if steps_back == MOST_STEPS_BACK => return Err(Error::Changing { action: action.to_owned() }),
                _ => {
                    steps_back += 1;
                    all.truncate(all.len().saturating_sub(PAGE));
                    continue;
                }
            }
            if is_last {
                return Ok(all);
            }
        }
    }
}

/// Number and size of the page that holds this place, and of those the one that goes furthest beyond.
fn page_over(place: usize) -> (usize, usize) {
    let pages = (PAGE / 2..=PAGE).map(|size| (place / size + 1, size));
    pages.max_by_key(|(number, size)| number * size).unwrap_or((1, PAGE))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::secret::AccessKey;
    use crate::testing::{answer, answering};

    #[derive(Deserialize)]
    struct Page {
        total: usize,
        names: Vec<String>,
    }

    fn names(endpoint: &str) -> Result<Vec<String>, Error> {
        let client = Client::builder(endpoint).access_key(AccessKey::new("id", "s")).build().expect("an endpoint");
        client.list(|| Request::new("ListThings"), |page: Page| (page.total, page.names), String::as_str)
    }

    /// A page of a list, as a server gives it that was asked so.
    fn page_of(list: &[String], asked: &str) -> String {
        let parameter = |name: &str| -> usize {
            let rest = asked.split(&format!("{name}=")).nth(1).expect("asked for");
            rest.split('&').next().expect("a number").parse().expect("a number")
        };
        let (number, size) = (parameter("PageNumber"), parameter("PageSize"));
        let page: Vec<&String> = list.iter().skip((number - 1) * size).take(size).collect();
        answer("200 OK", "", &serde_json::json!({ "total": list.len(), "names": page }).to_string())
    }

    fn numbered(of: std::ops::Range<usize>) -> Vec<String> {
        of.map(|n| format!("n{n:04}")).collect()
    }

    #[test]
    fn pages_overlap_and_go_on() {
        assert_eq!(page_over(0), (1, 100));
        for place in 1..5_000 {
            let (number, size) = page_over(place);
            assert!((number - 1) * size <= place && size <= PAGE, "{place}");
            assert!(number * size > place + 1, "{place}: it brings nothing new");
        }
    }

    #[test]
    fn a_list_that_nobody_changes_is_read_once() {
        for count in [0, 1, 99, 100, 101, 199, 200, 1_234] {
            let list = numbered(0..count);
            let expected = list.clone();
            let (endpoint, asked) = answering(100, move |asked| page_of(&list, asked));
            assert_eq!(names(&endpoint).expect("a list"), expected, "{count}");
            let pages = asked.try_iter().count();
            assert!(pages <= count / 90 + 1, "{count}: {pages} pages");
        }
    }

    /// Between any two pages something is deleted that was read, and as much is made: the total says nothing.
    #[test]
    fn what_is_deleted_and_made_meanwhile_moves_nothing_out_of_the_list() {
        for (deletes, makes) in [(true, false), (false, true), (true, true)] {
            let mut list = numbered(0..450);
            let mut moves = 0;
            let (endpoint, _asked) = answering(1_000, move |asked| {
                let page = page_of(&list, asked);
                if moves < 5 {
                    moves += 1;
                    if deletes {
                        list.remove(3);
                    }
                    if makes {
                        list.insert(list.len() - usize::from(!deletes) * 440, format!("z{moves}"));
                    }
                }
                page
            });
            let found = names(&endpoint).expect("a list");
            let stayed = numbered(8..450);
            assert!(stayed.iter().all(|name| found.contains(name)), "{deletes} {makes}: {found:?}");
            let distinct: std::collections::HashSet<&String> = found.iter().collect();
            assert_eq!(distinct.len(), found.len(), "{deletes} {makes}: {found:?}");
        }
    }

    #[test]
    fn the_end_may_be_deleted_and_a_list_that_never_rests_is_given_up() {
        let mut list = numbered(0..250);
        let (endpoint, _asked) = answering(100, move |asked| {
            let page = page_of(&list, asked);
            list.truncate(50);
            page
        });
        assert_eq!(names(&endpoint).expect("a list"), numbered(0..50));
        // Whatever is asked for, nothing of it was there before.
        let mut made = 0;
        let (endpoint, asked) = answering(1_000, move |asked| {
            made += 1;
            page_of(&numbered(made * 300..made * 300 + 300), asked)
        });
        let error = names(&endpoint).expect_err("no end");
        assert_eq!(error.to_string(), "ListThings: the list keeps changing while it is read");
        assert!(error.is_temporary() && asked.try_iter().count() < 300);
    }
}
