//! Pages of lists: which one is asked for, and which one an answer is.
//!
//! Owns: their numbers and sizes. Must not know: what is listed. Called by: the operations that list.

use serde::Serialize;

use crate::api::fields::Bounded;

/// PageNumber: from 1.
pub type PageNumber = Bounded<1, { i32::MAX as u32 }>;

/// PageSize: 1 to 100, where the API says nothing else of the operation.
pub type PageSize = Bounded<1, 100>;

/// A page of a list, as asked for.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// From 1.
    pub number: u32,
    /// Rows on a page.
    pub size: u32,
}

impl Page {
    /// The page asked for; the first, of `size_unsaid` rows, where nothing was said.
    pub fn new<const MIN: u32, const MAX: u32>(
        number: Option<PageNumber>,
        size: Option<Bounded<MIN, MAX>>,
        size_unsaid: u32,
    ) -> Self {
        Self { number: number.map_or(1, |n| n.0), size: size.map_or(size_unsaid, |s| s.0) }
    }

    /// Rows before the page.
    pub fn offset(self) -> i64 {
        i64::from(self.number - 1) * i64::from(self.size)
    }

    /// How the answer says which page it is, of so many rows in all.
    pub fn frame(self, total: i64) -> PageFrame {
        PageFrame { page_number: self.number, page_size: self.size, total_count: total }
    }

    /// The page of rows that are at hand as a whole.
    pub fn of<T>(self, rows: Vec<T>) -> impl Iterator<Item = T> {
        let before = usize::try_from(self.offset()).unwrap_or(usize::MAX);
        rows.into_iter().skip(before).take(self.size as usize)
    }
}

/// Which page of a list an answer holds, behind its rows.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PageFrame {
    page_number: u32,
    page_size: u32,
    total_count: i64,
}
