//! The pipeline: what happens to every request, in this order.
//!
//! 1. form: parameters, the signature's form, the operation's name;
//! 2. who: access key, signature, time, nonce; the account's rate;
//! 3. what: the operation's parameters, the permission on each resource (before anything is looked up);
//! 4. record, and for a write wait until the intent is durable;
//! 5. run;
//! 6. encode, and record the result: the answer leaves when the record is durable.
//!
//! Owns: that order. Must not know: what operations do. Called by: http.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::api::event::Event;
use crate::api::{Context, Effect, Operation, Target, table};
use crate::audit::{Audit, Kind, Ticket};
use crate::auth::{Auth, Caller};
use crate::base::clock::Clock;
use crate::base::failpoint::{Step, reach};
use crate::base::ids::AccountId;
use crate::error::Error;
use crate::keys::Keys;
use crate::secrets::Secrets;
use crate::wire::fault::Fault;
use crate::wire::params::Params;
use crate::wire::{Call, Format, Reply, encode, signature};

/// Bounds on what callers may ask for; none is no bound.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Requests per second and account, with a burst of the same size.
    pub requests_per_second: Option<NonZeroU32>,
}

/// Everything that answers requests.
pub struct Service {
    auth: Auth,
    keys: Arc<Keys>,
    secrets: Arc<Secrets>,
    audit: Arc<Audit>,
    clock: Clock,
    rate: Option<DefaultKeyedRateLimiter<AccountId>>,
}

/// An answer, and the record that must be durable before it leaves.
pub struct Answer {
    /// What to send.
    pub reply: Reply,
    /// Resolves when the record is on disk; an error means the answer must not be sent.
    pub durable: Ticket,
    /// The operation; none if there is none of that name.
    pub action: Option<&'static str>,
    /// The operation as it was asked for.
    pub asked: String,
    /// `OK`, or the fault's code.
    pub code: &'static str,
    /// Whether stored bytes did not verify.
    pub alarm: bool,
}

/// How an operation is answered: its body, or the fault.
pub(super) type Handler = fn(&Exchange<'_>, &Params) -> Result<Vec<u8>, Error>;

/// One request on its way.
pub(super) struct Exchange<'a> {
    service: &'a Service,
    caller: &'a Caller,
    event: &'a RefCell<Event>,
    format: Format,
    /// The records of its parts, on their way.
    parts: RefCell<Vec<Ticket>>,
}

impl Service {
    /// A service over these parts.
    pub fn new(auth: Auth, keys: Arc<Keys>, secrets: Arc<Secrets>, audit: Arc<Audit>, clock: Clock, limits: Limits) -> Self {
        let rate = limits.requests_per_second.map(|n| RateLimiter::keyed(Quota::per_second(n)));
        Self { auth, keys, secrets, audit, clock, rate }
    }

    /// Answers a request.
    pub fn call(&self, call: &Call) -> Answer {
        let event = RefCell::new(Event::arrived(call));
        let (mut action, mut format) = (None, Format::Json);
        let result = self.answer(call, &event, &mut action, &mut format);
        let mut event = event.into_inner();
        let (reply, code) = match result {
            Ok(body) => (Reply { status: 200, format, body, retry_after_s: None }, "OK"),
            Err(error) => {
                event.failed(&error);
                (encode::fault(&error, &call.request_id, format), Fault::of(&error).code)
            }
        };
        let durable = self.audit.submit(&event.record(Some(code)));
        Answer { reply, durable, action, code, alarm: event.alarm, asked: event.action }
    }

    fn answer(
        &self,
        call: &Call,
        event: &RefCell<Event>,
        action: &mut Option<&'static str>,
        format: &mut Format,
    ) -> Result<Vec<u8>, Error> {
        // Steps 1 and 2.
        let params = Params::parse(&call.query, call.header("content-type"), &call.body)?;
        *format = Format::requested(call, &params);
        let claim = signature::read(call, &params)?;
        event.borrow_mut().asks(&claim);
        let (name, handler) = table::find(&claim.action).ok_or(Error::ActionNotFound)?;
        *action = Some(name);
        let caller = self.auth.authenticate(call, &claim, self.clock.now())?;
        event.borrow_mut().identified(&caller);
        // Steps 3 to 6.
        let result = self.admit(&caller).and_then(|()| {
            let exchange = Exchange { service: self, caller: &caller, event, format: *format, parts: RefCell::default() };
            handler(&exchange, &params)
        });
        if let Err(error) = &result
            && (event.borrow().is_refusal() || error.not_executed())
        {
            self.auth.release(&caller);
        }
        result
    }

    fn admit(&self, caller: &Caller) -> Result<(), Error> {
        match &self.rate {
            Some(rate) if rate.check_key(&caller.account).is_err() => Err(Error::Throttled),
            _ => Ok(()),
        }
    }
}

/// Steps 3 to 6 for one operation.
pub(super) fn handle<O: Operation>(exchange: &Exchange<'_>, params: &Params) -> Result<Vec<u8>, Error> {
    let rehearsal = O::DRY_RUN && params.single("DryRun")?.is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let result = perform::<O>(exchange, params);
    match result {
        Err(Error::MissingParameter(_) | Error::InvalidParameter(_)) if rehearsal => Err(Error::DryRunInvalid),
        Err(Error::NoPermission) if rehearsal => Err(Error::DryRunDenied),
        other => other,
    }
}

fn perform<O: Operation>(exchange: &Exchange<'_>, params: &Params) -> Result<Vec<u8>, Error> {
    let request: O::Request = params.decode()?;
    O::check(&request)?;
    let cx = exchange.context();
    exchange.authorise(&cx, &format!("kms:{}", O::NAME), O::target(&request))?;
    exchange.begin(O::EFFECT)?;
    let response = O::run(&cx, request);
    exchange.settle()?;
    let response = response?;
    encode::success(O::NAME, &response, &exchange.caller.request_id, exchange.format)
}

impl Exchange<'_> {
    /// What an operation works with.
    pub(super) fn context(&self) -> Context<'_> {
        let service = self.service;
        let (keys, secrets, auth) = (&*service.keys, &*service.secrets, &service.auth);
        Context { caller: self.caller, keys, secrets, auth, exchange: self }
    }

    /// The operation that was asked for.
    pub(super) fn action(&self) -> String {
        self.event.borrow().action.clone()
    }

    /// Asks for the action on every resource; the first is the one that the record names.
    pub(super) fn authorise(&self, cx: &Context<'_>, action: &str, target: Target<'_>) -> Result<(), Error> {
        let mut event = self.event.borrow_mut();
        event.version = target.version;
        for (purpose, resource) in target.resources {
            let (action, facts) = purpose.map_or((action, None), |purpose| (purpose.action(), purpose.fact()));
            let (arn, grant) = resource.authorise(cx, action, facts.as_slice());
            event.resource.get_or_insert(arn);
            event.grant = Some(grant?);
        }
        Ok(())
    }

    /// Records that the request runs now; for a write, durably.
    fn begin(&self, effect: Effect) -> Result<(), Error> {
        let mut event = self.event.borrow_mut();
        match effect {
            Effect::Read => event.becomes(Kind::Read),
            Effect::Write => {
                event.becomes(Kind::Intent);
                let durable = self.service.audit.submit(&event.record(None)).wait();
                event.becomes(if durable.is_ok() { Kind::Outcome } else { Kind::Refused });
                durable?;
                reach(Step::IntentRecorded);
            }
        }
        Ok(())
    }

    /// A part of a read, done as another operation, with a record of its own.
    pub(super) fn part<O: Operation>(&self, cx: &Context<'_>, request: O::Request) -> Result<O::Response, Error> {
        let event = RefCell::new(self.event.borrow().part());
        let part = Exchange { event: &event, parts: RefCell::default(), ..*self };
        let result = part
            .authorise(cx, &format!("kms:{}", O::NAME), O::target(&request))
            .and_then(|()| part.begin(O::EFFECT))
            .and_then(|()| O::run(cx, request));
        let mut event = event.into_inner();
        let code = match &result {
            Ok(_) => "OK",
            Err(error) => {
                event.failed(error);
                Fault::of(error).code
            }
        };
        self.event.borrow_mut().alarm |= event.alarm;
        self.parts.borrow_mut().push(self.service.audit.submit(&event.record(Some(code))));
        result
    }

    /// Waits until the records of all parts are durable: what they say was read may be told only then.
    fn settle(&self) -> Result<(), Error> {
        self.parts.take().into_iter().try_for_each(|ticket| Ok(ticket.wait()?))
    }
}
