//! The pipeline: what happens to every request, in this order, whichever dialect it speaks.
//!
//! 1. it arrives ([`Service::exchange`]): whatever comes of it is recorded;
//! 2. who: access key, signature, time, nonce; the account's rate ([`Exchange::identify`]);
//! 3. what: the operation's input, the permission on each resource (before anything is looked up);
//! 4. record; what a write changes waits until its intent is durable;
//! 5. run;
//! 6. record the result: the answer leaves when the record is durable.
//!
//! Steps 3 to 5 are [`Request::execute`], for a request as for a part of one. A dialect reads the request before, and writes the answer
//! behind it; the types leave it no other way to an operation.
//!
//! Owns: that order. Must not know: what operations do, how requests and answers are written. Called by: the dialects.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::api::authorised::Authorised;
use crate::api::context::{Context, Mode};
use crate::api::effect::Effect;
use crate::api::event::Event;
use crate::api::operation::{Input, Operation};
use crate::api::rates::{Limits, Rates};
use crate::api::recording::Recording;
use crate::api::strangers::Strangers;
use crate::api::target::Target;
use crate::audit::{Audit, Ticket};
use crate::auth::bearer::BearerToken;
use crate::auth::proof::{Claim, Origin, Shown};
use crate::auth::{Auth, Caller};
use crate::base::ids::{AccessKeyId, RequestId};
use crate::code::Code;
use crate::error::Error;
use crate::keys::Keys;
use crate::secrets::Secrets;

/// Everything that answers requests.
pub struct Service {
    auth: Auth,
    keys: Arc<Keys>,
    secrets: Arc<Secrets>,
    audit: Arc<Audit>,
    rates: Rates,
    strangers: Strangers,
}

/// What a request came to, and the record that must be durable before its answer leaves.
pub struct Outcome<T> {
    /// The dialect's answer, or why there is none.
    pub result: Result<T, Error>,
    /// Its word.
    pub code: Code,
    /// Resolves when the record is on disk; an error means the answer must not be sent.
    pub durable: Ticket,
    /// The operation as it was asked for; it need not exist.
    pub asked: String,
    /// Whether the caller has proved who it is.
    pub known: bool,
}

impl Outcome<()> {
    /// Of a request that nothing is recorded of: it asks whether the service is there.
    pub fn unrecorded(result: Result<(), Error>) -> Self {
        let code = Code::of_result(&result);
        Self { result, code, durable: Ticket::for_nothing(), asked: String::new(), known: false }
    }
}

/// A request that has arrived and proved nothing.
pub struct Exchange<'a> {
    service: &'a Service,
    origin: Origin,
    event: &'a RefCell<Event>,
}

/// A request whose caller is known.
pub struct Request<'a> {
    exchange: &'a Exchange<'a>,
    caller: Caller,
}

impl Service {
    /// A service over these parts.
    pub fn new(auth: Auth, keys: Arc<Keys>, secrets: Arc<Secrets>, audit: Arc<Audit>, limits: Limits) -> Self {
        let (rates, strangers) = (Rates::new(limits.requests_per_second), Strangers::new(&limits));
        Self { auth, keys, secrets, audit, rates, strangers }
    }

    /// Bounds callers otherwise from now on.
    pub fn limit(&self, limits: Limits) {
        self.rates.limit(limits.requests_per_second);
        self.strangers.limit(&limits);
    }

    /// Takes a request from its arrival to its record; `work` is the dialect's. A panic in it is a failure of ours like others: it is
    /// recorded, of a write as unknown until its mark tells how far it came, and the nonce stays used.
    pub fn exchange<T>(&self, origin: Origin, work: impl FnOnce(&Exchange<'_>) -> Result<T, Error>) -> Outcome<T> {
        self.strangers.tell(&self.audit);
        let event = RefCell::new(Event::arrived(&origin));
        let exchange = Exchange { service: self, origin, event: &event };
        let result = catch_unwind(AssertUnwindSafe(|| work(&exchange)));
        let mut event = event.into_inner();
        let result = result.unwrap_or_else(|_| {
            event.is_undecided();
            Err(Error::Internal("the handler panicked".to_owned()))
        });
        // The log would tell of a change that no mark proves: whoever compares the two took the database for an older one.
        let result = match result {
            Ok(_) if event.is_without_effect() => Err(Error::Internal("a write that was done left no mark of it".to_owned())),
            result => result,
        };
        if result.is_err()
            && event.is_a_strangers()
            && !self.strangers.is_recorded(origin.source_ip, || self.audit.free_bytes())
        {
            let (result, code) = (Err(Error::Throttled), Code::Throttled);
            let durable = Ticket::for_nothing();
            return Outcome { result, code, durable, asked: event.action, known: false };
        }
        let code = Code::of_result(&result);
        if let Err(error) = &result {
            event.failed(error);
        }
        let durable = self.audit.submit(&event.record(Some(code.as_str())));
        let known = !event.is_a_strangers();
        Outcome { result, code, durable, asked: event.action, known }
    }
}

impl<'a> Exchange<'a> {
    /// Notes what is asked for, and in whose name; nothing of it is proved.
    pub fn asks(&self, action: &str, claim: &Claim) {
        self.event.borrow_mut().asks(action, Some(&claim.access_key));
    }

    /// The same where nothing is signed; `via` is the door.
    pub fn asks_via(&self, via: &'static str, action: &str, access_key: Option<&AccessKeyId>) {
        let mut event = self.event.borrow_mut();
        event.asks(action, access_key);
        event.via = Some(via);
    }

    /// Finds out who shows a token, and whether the account may go on at this rate. `work` is what the dialect does then.
    ///
    /// # Errors
    /// Those of [`Auth::authenticate_bearer`], [`Error::Throttled`], and those of `work`.
    pub fn identify_bearer<T>(
        &'a self,
        token: &BearerToken,
        work: impl FnOnce(&Request<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let service = self.service;
        let caller = service.auth.authenticate_bearer(&self.origin, token)?;
        self.request(caller).at_its_rate(work)
    }

    /// Finds out for whom somebody else's proof speaks, and whether the account may go on at this rate. `work` is what the dialect does
    /// then.
    ///
    /// # Errors
    /// Those of [`Auth::authenticate_login`], [`Error::Throttled`], and those of `work`.
    pub fn identify_shown<T>(
        &'a self,
        shown: &Shown<'_>,
        work: impl FnOnce(&Request<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let service = self.service;
        let caller = service.auth.authenticate_login(&self.origin, shown)?;
        self.request(caller).at_its_rate(work)
    }

    /// Whether logins with a JWT are served under this mount.
    pub fn takes_jwt(&self, mount: &str) -> bool {
        self.service.auth.logins().takes_jwt(mount)
    }

    /// Whether logins with a client certificate are served.
    pub fn takes_certificates(&self) -> bool {
        self.service.auth.logins().takes_certificates()
    }

    /// Finds out who asks, and whether the account may go on at this rate. `work` is what the dialect does then.
    ///
    /// # Errors
    /// Those of [`Auth::authenticate`], [`Error::Throttled`], and those of `work`. A request that was refused before it ran, or may be
    /// sent again, keeps its nonce.
    pub fn identify<T>(&'a self, claim: &Claim, work: impl FnOnce(&Request<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let service = self.service;
        let caller = service.auth.authenticate(&self.origin, claim)?;
        let request = self.request(caller);
        let result = request.at_its_rate(work);
        if let Err(error) = &result
            && (self.event.borrow().is_refusal() || error.not_executed())
        {
            service.auth.release(&request.caller);
        }
        result
    }

    /// The request of a caller who has proved who it is.
    fn request(&'a self, caller: Caller) -> Request<'a> {
        self.event.borrow_mut().identified(&caller);
        Request { exchange: self, caller }
    }
}

impl Request<'_> {
    /// Goes on with `work` if the account may at this rate.
    fn at_its_rate<T>(&self, work: impl FnOnce(&Self) -> Result<T, Error>) -> Result<T, Error> {
        self.exchange.service.rates.take(&self.caller.account)?;
        work(self)
    }

    /// Its id.
    pub fn id(&self) -> &RequestId {
        &self.exchange.origin.request_id
    }

    /// Carries out an operation: input, permission, record, run. `request` is what the dialect could read of the parameters.
    ///
    /// # Errors
    /// Those of the dialect's reading and of the operation; [`Error::NoPermission`]; in a rehearsal always one of the three that say
    /// what would have been, or one that says that the request could not be carried out at all.
    pub fn execute<O: Operation>(
        &self,
        request: Result<<O::Input as Input>::Request, Error>,
        mode: Mode,
    ) -> Result<O::Response, Error> {
        let Exchange { service, event, .. } = *self.exchange;
        let (keys, secrets, auth) = (&*service.keys, &*service.secrets, &service.auth);
        let recording = Recording::new(&service.audit, event);
        let authorised = Authorised::default();
        let done = execute::<O>(Context { caller: &self.caller, keys, secrets, auth, mode, recording, authorised }, request);
        event.borrow_mut().marked = self.caller.effect.is_marked();
        match (mode, done) {
            (Mode::Real, done) => done,
            (Mode::Rehearsal, Ok(_)) => Err(Error::DryRunSucceeded),
            (Mode::Rehearsal, Err(error)) if error.is_about_the_request() => Err(Error::DryRunInvalid(Box::new(error))),
            (Mode::Rehearsal, Err(Error::NoPermission(denied))) => Err(Error::DryRunDenied(denied)),
            (Mode::Rehearsal, Err(error)) => Err(error),
        }
    }
}

/// Steps 3 to 5, for a request and for a part of one.
fn execute<O: Operation>(
    mut cx: Context<'_>,
    request: Result<<O::Input as Input>::Request, Error>,
) -> Result<O::Response, Error> {
    const { assert!(!O::DRY_RUN || matches!(O::EFFECT, Effect::Read), "what can be rehearsed is a read") };
    let input = O::Input::read(request?)?;
    cx.authorised = authorise(&cx, &format!("kms:{}", O::PERMISSION), O::target(&input))?;
    cx.recording.begin(O::EFFECT, cx.caller)?;
    let response = O::run(&cx, input);
    cx.recording.begun(cx.caller)?;
    cx.recording.settle()?;
    response
}

/// Asks for every permission that the target needs. The record names all resources, with the policy that allowed the first; the one that
/// is refused before the others.
fn authorise(cx: &Context<'_>, action: &str, target: Target<'_>) -> Result<Authorised, Error> {
    let mut authorised = Authorised::default();
    let mut event = cx.recording.event.borrow_mut();
    event.version = target.version;
    for wanted in target.wanted {
        let (arn, grant) = wanted.authorise(cx, action, &mut authorised);
        match grant {
            Ok(grant) => {
                event.acts_on(arn);
                event.grant.get_or_insert(grant);
            }
            Err(error) => {
                event.refused_on(arn);
                return Err(error);
            }
        }
    }
    Ok(authorised)
}

impl Context<'_> {
    /// Does a part of a read as the operation `O` does it: its input, its permission, and an audit record of its own, whatever comes
    /// of it. The answer leaves when all records are durable.
    ///
    /// # Errors
    /// Those of `O`, [`Error::NoPermission`] among them.
    pub fn part<O: Operation>(&self, request: Result<<O::Input as Input>::Request, Error>) -> Result<O::Response, Error> {
        let event = self.recording.event.borrow().part();
        self.apart::<O>(event, request)
    }

    /// Does what a request brings about besides what it is, or asks for the permission for it, as the operation `O`, and records it under
    /// the name of that, durably, before the request goes on.
    ///
    /// # Errors
    /// Those of `O`, [`Error::NoPermission`] among them; [`Error::Unavailable`] when it cannot be recorded.
    pub fn also<O: Operation>(&self, request: <O::Input as Input>::Request) -> Result<O::Response, Error> {
        const { assert!(matches!(O::EFFECT, Effect::Read), "the intent and the outcome are those of the request") };
        let mut event = self.recording.event.borrow().part();
        O::NAME.clone_into(&mut event.action);
        let result = self.apart::<O>(event, Ok(request));
        self.recording.settle()?;
        result
    }

    fn apart<O: Operation>(
        &self,
        event: Event,
        request: Result<<O::Input as Input>::Request, Error>,
    ) -> Result<O::Response, Error> {
        let event = RefCell::new(event);
        let recording = self.recording.of(&event);
        let result = execute::<O>(Context { recording, authorised: Authorised::default(), ..*self }, request);
        self.recording.add(event.into_inner(), &result);
        result
    }
}
