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

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::api::event::Event;
use crate::api::{Context, Effect, Operation, Target, table};
use crate::audit::{Audit, Kind, Ticket};
use crate::auth::{Auth, Caller};
use crate::clock::Clock;
use crate::error::Error;
use crate::failpoint::{Step, reach};
use crate::ids::AccountId;
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
pub(super) type Handler = fn(&mut Exchange<'_>, &Params) -> Result<Vec<u8>, Error>;

/// One request on its way.
pub(super) struct Exchange<'a> {
    service: &'a Service,
    caller: &'a Caller,
    event: &'a mut Event,
    format: Format,
}

impl Service {
    /// A service over these parts.
    pub fn new(auth: Auth, keys: Arc<Keys>, secrets: Arc<Secrets>, audit: Arc<Audit>, clock: Clock, limits: Limits) -> Self {
        let rate = limits.requests_per_second.map(|n| RateLimiter::keyed(Quota::per_second(n)));
        Self { auth, keys, secrets, audit, clock, rate }
    }

    /// Answers a request.
    pub fn call(&self, call: &Call) -> Answer {
        let mut event = Event::arrived(call);
        let (mut action, mut format) = (None, Format::Json);
        let result = self.answer(call, &mut event, &mut action, &mut format);
        let (reply, code, alarm) = match result {
            Ok(body) => (Reply { status: 200, format, body, retry_after_s: None }, "OK", false),
            Err(error) => {
                report(&error, call, action);
                let alarm = matches!(error, Error::Integrity(_));
                (encode::fault(&error, &call.request_id, format), Fault::of(&error).code, alarm)
            }
        };
        let durable = self.audit.submit(&event.record(Some(code)));
        Answer { reply, durable, action, asked: event.action, code, alarm }
    }

    fn answer(
        &self,
        call: &Call,
        event: &mut Event,
        action: &mut Option<&'static str>,
        format: &mut Format,
    ) -> Result<Vec<u8>, Error> {
        // Steps 1 and 2.
        let params = Params::parse(&call.query, call.header("content-type"), &call.body)?;
        *format = Format::requested(call, &params);
        let claim = signature::read(call, &params)?;
        event.action.clone_from(&claim.action);
        event.access_key = Some(claim.access_key.to_string());
        let (name, handler) = table::find(&claim.action).ok_or(Error::ActionNotFound)?;
        *action = Some(name);
        let caller = self.auth.authenticate(call, &claim, self.clock.now())?;
        event.identified(&caller);
        // Steps 3 to 6.
        let result = self.admit(&caller).and_then(|()| {
            let mut exchange = Exchange { service: self, caller: &caller, event, format: *format };
            handler(&mut exchange, &params)
        });
        if let Err(error) = &result
            && (event.is_refusal() || error.not_executed())
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

/// Logs what operators must know of a failure; the caller's own mistakes are in the access line already.
fn report(error: &Error, call: &Call, action: Option<&str>) {
    let (id, action) = (call.request_id, action.unwrap_or("unknown"));
    match error {
        Error::Integrity(what) => log::error!(target: "bulla::integrity", "ALARM request_id={id} action={action} {what}"),
        Error::Internal(what) => log::error!("request_id={id} action={action} {what}"),
        Error::Unavailable(what) => log::warn!("request_id={id} action={action} unavailable: {what}"),
        _ => {}
    }
}

/// Steps 3 to 6 for one operation.
pub(super) fn handle<O: Operation>(exchange: &mut Exchange<'_>, params: &Params) -> Result<Vec<u8>, Error> {
    let rehearsal = O::DRY_RUN && params.single("DryRun")?.is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let result = perform::<O>(exchange, params);
    match result {
        Err(Error::MissingParameter(_) | Error::InvalidParameter(_)) if rehearsal => Err(Error::DryRunInvalid),
        Err(Error::NoPermission) if rehearsal => Err(Error::DryRunDenied),
        other => other,
    }
}

fn perform<O: Operation>(exchange: &mut Exchange<'_>, params: &Params) -> Result<Vec<u8>, Error> {
    let request: O::Request = params.decode()?;
    O::check(&request)?;
    exchange.permit(&format!("kms:{}", O::NAME), O::target(&request))?;
    exchange.begin(O::EFFECT)?;
    let response = O::run(&exchange.context(), request)?;
    encode::success(O::NAME, &response, &exchange.caller.request_id, exchange.format)
}

impl<'a> Exchange<'a> {
    /// What an operation works with.
    fn context(&self) -> Context<'a> {
        let service = self.service;
        Context { caller: self.caller, keys: &service.keys, secrets: &service.secrets, auth: &service.auth }
    }

    /// The operation that was asked for.
    pub(super) fn action(&self) -> &str {
        &self.event.action
    }

    /// Asks for the permission on every resource; the first is the one that the record names.
    pub(super) fn permit(&mut self, action: &str, target: Target<'_>) -> Result<(), Error> {
        let cx = self.context();
        self.event.version = target.version.map(str::to_owned);
        for resource in target.resources {
            let (arn, grant) = resource.authorise(&cx, action, &target.facts);
            self.event.resource.get_or_insert(arn);
            self.event.grant = Some(grant?);
        }
        Ok(())
    }

    /// Records that the request runs now; for a write, durably.
    fn begin(&mut self, effect: Effect) -> Result<(), Error> {
        match effect {
            Effect::Read => self.event.becomes(Kind::Read),
            Effect::Write => {
                self.event.becomes(Kind::Intent);
                let durable = self.service.audit.submit(&self.event.record(None)).wait();
                self.event.becomes(if durable.is_ok() { Kind::Outcome } else { Kind::Refused });
                durable?;
                reach(Step::IntentRecorded);
            }
        }
        Ok(())
    }
}
