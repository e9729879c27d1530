//! When the records of a request are written.
//!
//! Owns: the intent before a write, the records of a request's parts. Must not know: operations, what a record holds.
//! Called by: pipeline.

use std::cell::RefCell;

use crate::api::effect::Effect;
use crate::api::event::Event;
use crate::audit::{Audit, Kind, Ticket};
use crate::auth::Caller;
use crate::code::Code;
use crate::error::Error;

/// The recording of one request, or of a part of one.
pub(super) struct Recording<'a> {
    audit: &'a Audit,
    pub event: &'a RefCell<Event>,
    /// The records of its parts, on their way.
    parts: RefCell<Vec<Ticket>>,
}

impl<'a> Recording<'a> {
    /// Nothing is recorded yet.
    pub fn new(audit: &'a Audit, event: &'a RefCell<Event>) -> Self {
        Self { audit, event, parts: RefCell::default() }
    }

    /// The recording of a part, whose event this is.
    pub fn of<'p>(&self, event: &'p RefCell<Event>) -> Recording<'p>
    where
        'a: 'p,
    {
        Recording::new(self.audit, event)
    }

    /// Records that the caller's request runs now; for a write, durably before its effect.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the intent of a write cannot be recorded: then it does not run.
    pub fn begin(&self, effect: Effect, caller: &Caller) -> Result<(), Error> {
        if !effect.changes() {
            self.event.borrow_mut().becomes(Kind::Read);
            return Ok(());
        }
        let mut event = self.event.borrow_mut();
        event.becomes(Kind::Intent);
        let announced = self.audit.announce(&event.record(None), caller.effect.began());
        event.becomes(if announced.is_ok() { Kind::Outcome } else { Kind::Refused });
        let (reserved, intent) = announced?;
        event.reserved = Some(reserved);
        drop(event);
        caller.effect.follows(intent);
        if effect == Effect::Commit { Ok(()) } else { self.begun(caller) }
    }

    /// Waits until the intent of a write is durable. Where it will not be, the request has been refused: nothing of it has happened.
    ///
    /// # Errors
    /// [`Error::Unavailable`] then.
    pub fn begun(&self, caller: &Caller) -> Result<(), Error> {
        caller.effect.may_begin().inspect_err(|_| {
            let mut event = self.event.borrow_mut();
            event.becomes(Kind::Refused);
            event.reserved = None;
        })
    }

    /// Records what a part came to.
    pub fn add<T>(&self, mut part: Event, result: &Result<T, Error>) {
        if let Err(error) = result {
            part.failed(error);
        }
        self.parts.borrow_mut().push(self.audit.submit(&part.record(Some(Code::of_result(result).as_str()))));
    }

    /// Waits until the records of all parts are durable: what they say was read may be told only then.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when one is not.
    pub fn settle(&self) -> Result<(), Error> {
        self.parts.take().into_iter().try_for_each(|ticket| Ok(ticket.wait()?))
    }
}
