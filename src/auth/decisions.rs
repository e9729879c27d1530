//! The decisions of one request for which the database was asked.
//!
//! Owns: the memory of them. Must not know: how they are made. Called by: auth::authorise.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::error::Error;

/// Why something is allowed: the policy's name, or `root`.
pub type Grant = String;

/// Facts to keep.
pub(super) type Known = Vec<(String, String)>;

/// An action, a resource and the facts.
pub(super) type Question = (String, String, Known);

/// Answers of this request for which the database was asked: asked again, inside of a transaction perhaps, they are the same.
#[derive(Default)]
pub(super) struct Decisions(RefCell<HashMap<Question, Result<Grant, Error>>>);

impl Decisions {
    pub(super) fn get(&self, question: &Question) -> Option<Result<Grant, Error>> {
        self.0.borrow().get(question).cloned()
    }

    pub(super) fn keep(&self, question: Question, answer: Result<Grant, Error>) {
        self.0.borrow_mut().insert(question, answer);
    }
}
