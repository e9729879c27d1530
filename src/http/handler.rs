//! From an HTTP request to a [`Call`], over the one hop to a thread that may block, and back to an HTTP answer.
//!
//! Owns: the order of checks before a call, permits, deadlines of body and work, the shape of answers. Must not know:
//! operations, signatures. Called by: actix-web, for every request that its parser understands.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime};

use actix_web::http::StatusCode;
use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, HttpDate, RETRY_AFTER,
};
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::access::{Action, Line};
use super::body::{Bodies, Length};
use super::connection::Connection;
use super::first_byte::Told;
use super::parser_refusals::MAX_TARGET;
use super::peer::{self, Client};
use super::room::Place;
use super::{Answer, Call, Config, Durable, Method, Received, Reply, Service, Side};
use crate::base::clock::Moment;
use crate::base::failpoint::{Step, reach};
use crate::base::ids::RequestId;
use crate::base::threads::Threads;
use crate::error::Error;
use crate::metrics::Metrics;

/// All that requests share.
pub(super) struct Handler<S> {
    pub service: Arc<S>,
    pub config: Config,
    pub metrics: Arc<Metrics>,
    /// One permit for each request being worked on or waiting for a thread.
    pub permits: Arc<Semaphore>,
    threads: Threads,
    bodies: Bodies,
    told: Told,
}

/// An answer on its way, with what the access line and the figures tell of it.
struct Outcome {
    reply: Reply,
    action: Action,
    code: &'static str,
    end: End,
}

/// What an answer means for its connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct End {
    /// Whether it must end because the rest of the request was not read.
    pub last: bool,
    /// Whether the caller has proved who it is.
    pub known: bool,
}

/// A request turned away by the front.
struct Refused {
    error: Error,
    /// As in [`Outcome`].
    action: Action,
    end: End,
}

impl Refused {
    fn now(error: Error) -> Self {
        Self { error, action: Action::Unknown(String::new()), end: End::default() }
    }

    fn last(error: Error) -> Self {
        Self { end: End { last: true, known: false }, ..Self::now(error) }
    }
}

/// Who sends a request, and over which connection.
struct Sender<'a> {
    client: Client,
    certificate: Option<Arc<[u8]>>,
    place: Option<&'a Place>,
}

/// How far the work for a request has come.
#[derive(Default)]
struct Progress(AtomicU8);

impl Progress {
    const WAITS: u8 = 0;
    const GIVEN_UP: u8 = 1;
    const RUNS: u8 = 2;
    const IS_RECORDED: u8 = 3;

    /// It begins, unless it was given up.
    fn begin(&self) -> bool {
        self.0.compare_exchange(Self::WAITS, Self::RUNS, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// It is done, and being recorded.
    fn record(&self) {
        self.0.store(Self::IS_RECORDED, Ordering::Release);
    }

    /// It is not to begin, unless it has.
    fn give_up(&self) -> bool {
        self.0.compare_exchange(Self::WAITS, Self::GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn is_recorded(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::IS_RECORDED
    }
}

impl<S: Service> Handler<S> {
    /// # Errors
    /// Of the system, which makes no threads.
    pub fn new(service: Arc<S>, config: Config, metrics: Arc<Metrics>) -> io::Result<Self> {
        let permits = Arc::new(Semaphore::new(config.max_concurrent));
        let threads = Threads::start(config.threads, config.workers)?;
        let bodies = Bodies::new(config.max_body_bytes, config.max_body_memory_bytes, config.body_timeout);
        Ok(Self { service, config, metrics, permits, threads, bodies, told: Told::default() })
    }

    /// Requests admitted and not finished.
    pub fn in_flight(&self) -> usize {
        self.config.max_concurrent.saturating_sub(self.permits.available_permits())
    }

    /// Answers a request that the parser refused: the whole answer, which ends the connection.
    pub fn refuse(&self, error: &Error, peer: Option<SocketAddr>) -> Vec<u8> {
        let request_id = RequestId::new();
        self.note(request_id, error);
        self.told.tell(error, peer);
        // What the parser refuses has no path that could be believed.
        let (reply, code) = self.service.refuse("/", error, &request_id);
        self.metrics.request(None, code, Duration::ZERO);
        Line {
            request_id,
            peer: peer.map(|p| p.ip().to_canonical()),
            method: "",
            action: &Action::Unknown(String::new()),
            code,
            status: reply.status,
            bytes: reply.body.len(),
            duration: Duration::ZERO,
        }
        .write();
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {}\r\ncontent-length: {}\r\ncache-control: no-store\r\nconnection: close\r\ndate: {}\r\n",
            reply.media_type,
            reply.body.len(),
            HttpDate::from(SystemTime::now()),
        );
        for (name, value) in &reply.headers {
            answer.push_str(name);
            answer.push_str(": ");
            answer.push_str(value);
            answer.push_str("\r\n");
        }
        answer.push_str("\r\n");
        let mut answer = answer.into_bytes();
        answer.extend_from_slice(&reply.body);
        answer
    }

    /// Logs or counts what the client is not told. Under load many are turned away: those are counted only.
    fn note(&self, request_id: RequestId, error: &Error) {
        match error {
            Error::Unavailable(what) => self.metrics.turned_away(what),
            Error::Undecided => self.metrics.turned_away("end of the commit"),
            Error::Internal(what) => log::error!("request_id={request_id} failed: {what}"),
            _ => {}
        }
    }

    /// Answers one request, and says what that means for its connection.
    pub async fn respond(
        &self,
        request: HttpRequest,
        received: &Received,
        payload: Payload,
        side: Side,
    ) -> (HttpResponse, End) {
        let arrived = Instant::now();
        let request_id = RequestId::new();
        let connection = request.conn_data::<Rc<Connection>>();
        let tls = connection.is_some_and(|connection| connection.is_secure());
        let certificate = connection.and_then(|connection| connection.certificate().cloned());
        let client = |peer: SocketAddr| peer::client(peer.ip(), tls, &received.headers, &self.config.trusted_proxies);
        let client = request.peer_addr().map(client);
        let certificate = certificate.filter(|_| client.is_some_and(|client| !client.proxied));
        let place = connection.map(|connection| connection.place());
        let sender = client.map(|client| Sender { client, certificate, place });
        let mut outcome = match self.answer(received, payload, side, request_id, sender, arrived).await {
            Ok(outcome) => outcome,
            Err(Refused { error, action, end }) => {
                self.note(request_id, &error);
                let (reply, code) = self.service.refuse(received.target.path(), &error, &request_id);
                Outcome { reply, action, code, end }
            }
        };
        // The parser keeps no connection whose client offered another protocol; it should be told.
        outcome.end.last |= received.upgrade;
        let duration = arrived.elapsed();
        self.metrics.request(outcome.action.served(), outcome.code, duration);
        Line {
            request_id,
            peer: client.map(|c| c.address),
            method: request.method().as_str(),
            action: &outcome.action,
            code: outcome.code,
            status: outcome.reply.status,
            bytes: outcome.reply.body.len(),
            duration,
        }
        .write();
        (response(outcome.reply, outcome.end.last), outcome.end)
    }

    async fn answer(
        &self,
        received: &Received,
        payload: Payload,
        side: Side,
        request_id: RequestId,
        sender: Option<Sender<'_>>,
        arrived: Instant,
    ) -> Result<Outcome, Refused> {
        let arrival = Moment::of(self.config.clock.now());
        let length = Length::of(&received.method, &received.headers);
        let turn_away = |error| if length == Length::Known(0) { Refused::now(error) } else { Refused::last(error) };
        let path = received.target.path();
        let method = Method::named(received.method.as_str()).ok_or_else(|| turn_away(Error::MethodNotSupported))?;
        let accepted = self.service.accepts(method, path);
        if let Err(Error::MethodNotSupported) = accepted {
            return Err(turn_away(Error::MethodNotSupported));
        }
        let query = received.target.query().unwrap_or("");
        if path.len() + query.len() >= MAX_TARGET {
            return Err(turn_away(Error::HeadTooLarge));
        }
        accepted.map_err(turn_away)?;
        if side == Side::Admin {
            return Err(turn_away(Error::PathNotFound));
        }
        let encoded =
            received.headers.get(CONTENT_ENCODING).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
        if encoded && length != Length::Known(0) {
            return Err(Refused::last(Error::MalformedRequest("The body must come as it is: no Content-Encoding is served.")));
        }
        sent_once(&received.headers).map_err(turn_away)?;
        // A client that has gone before it could be asked for its address.
        let Sender { client, certificate, place } = sender.ok_or(Refused::last(Error::MalformedRequest("")))?;
        let asked_to_leave = async {
            match place {
                Some(place) => place.left().await,
                None => pending().await,
            }
        };
        let body = tokio::select! {
            biased;
            body = self.bodies.read(length, payload) => body,
            () = asked_to_leave => Err(Error::Unavailable("connections")),
        };
        let mut body = body.map_err(Refused::last)?;
        let call = Call {
            request_id,
            arrival,
            peer: client.address,
            secure: client.secure,
            client_certificate: certificate,
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers_of(&received.headers),
            body: std::mem::take(&mut *body.bytes),
        };
        self.work(call, body.claim, place, arrived).await
    }

    /// The one hop: a permit, a thread, the service, the record. The permit and the claim on the body's memory end with the work,
    /// whether or not the client still waits. The answer comes from the thread that made its record durable: one wake-up for all of a batch.
    async fn work(
        &self,
        call: Call,
        claim: Option<OwnedSemaphorePermit>,
        place: Option<&Place>,
        arrived: Instant,
    ) -> Result<Outcome, Refused> {
        let unavailable = |what| Refused::now(Error::Unavailable(what));
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| unavailable("permits"))?;
        if let Some(place) = place {
            place.needed();
        }
        let (service, progress, request_id) = (Arc::clone(&self.service), Arc::new(Progress::default()), call.request_id);
        let (tell, mut told) = oneshot::channel();
        let begun = Arc::clone(&progress);
        self.threads.put(move || {
            if !begun.begin() {
                return;
            }
            let answer = catch_unwind(AssertUnwindSafe(|| service.call(call)));
            // What only waits for the disk from here on takes no thread, and keeps none of `max_concurrent` from working: on a slow disk
            // it would turn away requests that could be answered. The audit log bounds how many records wait.
            drop((permit, claim));
            begun.record();
            // Nobody may wait any more for what is told.
            match answer {
                Ok(Answer { reply, action, code, known, durable }) => durable.then(move |recorded| {
                    let end = End { last: false, known };
                    _ = tell.send(match recorded {
                        Ok(()) => Ok(Outcome { reply, action, code, end }),
                        Err(lost) => {
                            log::error!("request_id={request_id} not recorded, so not answered: {lost}");
                            Err(Refused { action, end, ..unavailable("audit") })
                        }
                    });
                }),
                Err(_) => _ = tell.send(Err(Refused::now(Error::Internal("the handler panicked".to_owned())))),
            }
        });
        let queued = self.config.queue_timeout.min(self.config.answer_timeout);
        let mut done = timeout(queued, &mut told).await;
        if done.is_err() {
            if progress.give_up() {
                return Err(unavailable("threads"));
            }
            done = timeout(self.config.answer_timeout - queued, &mut told).await;
        }
        if done.is_err() && progress.is_recorded() {
            done = timeout(self.config.answer_timeout, &mut told).await;
        }
        match done {
            Ok(Ok(told)) => {
                reach(Step::OutcomeRecorded);
                told
            }
            Ok(Err(_)) => Err(unavailable("threads")),
            Err(_) if progress.is_recorded() => {
                log::error!("request_id={request_id} not recorded in time, so not answered");
                Err(unavailable("audit"))
            }
            Err(_) => {
                log::error!("work goes on {:?} after its request came; its client got an error", arrived.elapsed());
                Err(unavailable("time"))
            }
        }
    }
}

/// That what says how the body is read, and who asks, is there once at most (RFC 9110, sections 8.3 and 11.6.2): of two, a proxy and
/// this service might each believe another.
fn sent_once(headers: &HeaderMap) -> Result<(), Error> {
    let twice = |name| headers.get_all(name).nth(1).is_some();
    if twice(CONTENT_TYPE) {
        return Err(Error::MalformedRequest("The header Content-Type must be sent once."));
    }
    if twice(AUTHORIZATION) {
        return Err(Error::MalformedRequest("The header Authorization must be sent once."));
    }
    Ok(())
}

/// Names in lower case and values. Bytes that are no UTF-8 become U+FFFD: a signature that covers them cannot match.
fn headers_of(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn response(reply: Reply, last: bool) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, HeaderValue::from_static(reply.media_type)));
    // Some requests are GETs without an Authorization header, whose answers a shared cache may keep (RFC 9111, section 3).
    response.insert_header((CACHE_CONTROL, "no-store"));
    for (name, value) in reply.headers {
        response.insert_header((name, value));
    }
    if let Some(seconds) = reply.retry_after_s {
        response.insert_header((RETRY_AFTER, seconds));
    }
    if last {
        response.force_close();
    }
    response.body(Bytes::from_owner(reply.body))
}
