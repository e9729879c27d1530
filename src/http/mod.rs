//! The HTTP front, on actix: listeners, limits, admission, the one hop to a thread that may block, health and figures.
//!
//! Owns: everything between the socket and a [`Call`], and between a [`Reply`] and the socket. Must not know: operations,
//! signatures, tokens, databases. Called by: app, which gives it the [`Service`] to call.
//!
//! ```text
//! socket - TLS - deadlines (and refusals in the API's form) - actix-http's parser - handler (body, permit) - thread: Service::call
//!              <------------------- answer <----------------- audit record durable <-----------------------------------|
//! ```
//!
//! Every answer is `cache-control: no-store`, and, but for health and figures, in the form of a dialect, whatever went wrong.

mod access;
mod admin;
mod body;
mod call;
mod config;
mod connection;
mod deadlines;
mod first_byte;
mod framing;
mod handler;
mod parser_refusals;
mod peer;
mod room;
mod stream;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::io;
use std::mem;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Protocol, Request};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{
    IntoServiceFactory, Service as _, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service, map_config,
};
use actix_web::dev::AppConfig;
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method as HttpMethod, Uri};
use actix_web::rt::{System, net::TcpStream};
use actix_web::web::Payload;
use actix_web::{App, HttpMessage, HttpRequest, HttpResponse, web};
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

pub use access::Action;
use body::Length;
pub use call::{Call, Method, Reply};
pub use config::Config;
use connection::Connection;
use deadlines::{Deadlines, LINGER, Timed};
use handler::{End, Handler};
use room::Room;
use stream::Stream;
pub use tls::{Tls, TlsFiles};

use crate::base::ids::RequestId;
use crate::error::Error;
use crate::metrics::Metrics;

/// What the front calls.
pub trait Service: Send + Sync + 'static {
    /// The record of a call on its way to the disk.
    type Durable: Durable;

    /// Whether a request like this can be answered at all; asked before its body is read.
    ///
    /// # Errors
    /// [`Error::MethodNotSupported`], [`Error::PathNotFound`].
    fn accepts(&self, method: Method, path: &str) -> Result<(), Error>;

    /// The answer to a request for this path that does not become a call, or whose answer must not leave; and the error's code.
    fn refuse(&self, path: &str, error: &Error, request_id: &RequestId) -> (Reply, &'static str);

    /// Carries out a call. Runs on a thread that may block; a panic is answered as an internal failure.
    fn call(&self, call: Call) -> Answer<Self::Durable>;

    /// The header with an answer's id, which the answers to probes have too; in lower case.
    fn request_id_header(&self) -> &'static str;

    /// What of the service works now, as others have found it. Probes come to an event loop: it must not block.
    fn readiness(&self) -> Readiness;
}

/// A record on its way to the disk.
pub trait Durable: Send + 'static {
    /// Why it is not on the disk, for the log.
    type Lost: fmt::Display + Send;

    /// Has this done when it is there, or known never to be.
    fn then(self, follow: impl FnOnce(Result<(), Self::Lost>) + Send + 'static);
}

/// What a call came to.
pub struct Answer<D> {
    /// What the client gets.
    pub reply: Reply,
    /// The operation, for the access line and the figures.
    pub action: Action,
    /// The error's code, or `OK`, for the same. Never text of the caller's.
    pub code: &'static str,
    /// Whether the caller has proved who it is.
    pub known: bool,
    /// Until this is done, nobody may see the reply; if it fails, nobody ever does.
    pub durable: D,
}

/// What works; why not, for operators.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// The token answers.
    pub token: Result<(), String>,
    /// The database answers.
    pub database: Result<(), String>,
    /// Audit records can be written.
    pub audit: Result<(), String>,
    /// No other clock contradicts this machine's; what there is to say of it all the same.
    pub clock: Result<Option<String>, String>,
}

/// Which requests a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The API, and whether the service lives and is ready.
    Api,
    /// The API alone: somebody else listens for the administrator.
    ApiOnly,
    /// Health, readiness with its reasons, figures.
    Admin,
}

/// Addresses that are taken and not yet listened on: clients are refused.
#[derive(Debug)]
pub struct Reserved(Bound);

/// Listeners that are open and not yet served: clients can connect, and wait.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    api: TcpListener,
    admin: Option<TcpListener>,
    stopper: Stopper,
}

/// Connections that may be open for a moment beyond the limit, while others leave to make room.
pub const SPARE_CONNECTIONS: usize = 32;

/// Stops a server.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<Notify>);

impl Stopper {
    /// Stops accepting, lets requests end within the time for it, then lets [`Bound::run`] return.
    pub fn stop(&self) {
        self.0.notify_one();
    }
}

/// Takes the addresses, so that one that another has is found before anything else is started. Until [`Reserved::listen`] whoever
/// connects is refused at once, which a probe understands better than silence.
///
/// # Errors
/// Of the system, when an address cannot be bound.
pub fn reserve(config: Config) -> io::Result<Reserved> {
    let config = config.bounded();
    let api = reserved(config.listen)?;
    let admin = config.admin_listen.map(reserved).transpose()?;
    Ok(Reserved(Bound { config, api, admin, stopper: Stopper(Arc::new(Notify::new())) }))
}

/// A socket on this address, as the standard library makes them, which does not listen yet.
fn reserved(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    Ok(socket.into())
}

impl Reserved {
    /// Where the API will be served.
    ///
    /// # Errors
    /// Of the system.
    #[cfg(test)]
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.address()
    }

    /// Opens the listeners.
    ///
    /// # Errors
    /// Of the system, when another that took the same address at the same time was faster.
    pub fn listen(self) -> io::Result<Bound> {
        let Self(bound) = self;
        let backlog = i32::try_from(bound.config.backlog).unwrap_or(i32::MAX);
        for listener in [Some(&bound.api), bound.admin.as_ref()].into_iter().flatten() {
            rustix::net::listen(listener, backlog)?;
        }
        Ok(bound)
    }
}

impl Bound {
    /// Where the API is served.
    ///
    /// # Errors
    /// Of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.api.local_addr()
    }

    /// Where health and figures are served, if not on the API's listener.
    ///
    /// # Errors
    /// Of the system.
    #[cfg(test)]
    pub fn admin_address(&self) -> io::Result<Option<SocketAddr>> {
        self.admin.as_ref().map(TcpListener::local_addr).transpose()
    }

    /// A handle that stops the server from another thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Serves until it is told to stop, on the calling thread and its own. When this returns, no request is being worked on,
    /// except those that did not end within `stop_timeout`.
    ///
    /// # Errors
    /// Of the system, when threads or signal handlers cannot be made.
    pub fn run<S: Service>(self, service: Arc<S>, metrics: Arc<Metrics>) -> io::Result<()> {
        let Bound { config, api, admin, stopper } = self;
        let front = Arc::new(Handler::new(service, config.clone(), metrics)?);
        let work = Arc::clone(&front);
        System::new().block_on(async move {
            let (told, hears) = tokio::sync::oneshot::channel();
            let builder = Server::build()
                .workers(config.workers)
                // For figures, which take no permit.
                .worker_max_blocking_threads(2)
                .max_concurrent_connections((config.max_connections + SPARE_CONNECTIONS).div_ceil(config.workers))
                .shutdown_timeout(config.stop_timeout.as_secs().max(1))
                .shutdown_signal(async move {
                    stopper.0.notified().await;
                    let _ = told.send(Instant::now());
                });
            let signal = builder.graceful_shutdown_signal();
            let for_admin = if admin.is_some() { config.admin_connections() } else { 0 };
            let (room, admin_room) = (Room::new(config.max_connections - for_admin), Room::new(for_admin));
            front.metrics.set_connections({
                let rooms = [Arc::clone(&room), Arc::clone(&admin_room)];
                move || rooms.iter().fold((0, 0), |(open, shed), room| (open + room.open() as u64, shed + room.shed()))
            });
            let api_side = if admin.is_some() { Side::ApiOnly } else { Side::Api };
            let pipeline_of =
                move |side, room: &Arc<Room>| pipeline(Arc::clone(&front), side, signal.clone(), Arc::clone(room));
            let api_pipeline = pipeline_of.clone();
            let mut builder = builder.listen("api", api, move || api_pipeline(api_side, &room))?;
            if let Some(admin) = admin {
                builder = builder.listen("admin", admin, move || pipeline_of(Side::Admin, &admin_room))?;
            }
            builder.run().await?;
            // Work whose client has gone is not seen by the server; its permit is.
            let since = hears.await.unwrap_or_else(|_| Instant::now());
            let left = config.stop_timeout.saturating_sub(since.elapsed()).max(Duration::from_millis(1));
            let all = u32::try_from(config.max_concurrent).unwrap_or(u32::MAX);
            if timeout(left, work.permits.acquire_many(all)).await.is_err() {
                log::warn!("stopped with {} requests still at work", work.in_flight());
            }
            Ok(())
        })
    }
}

/// What a client sent, taken out of the request: actix keeps requests for reuse with all that is in them, secrets in the target
/// included, and headers keep the buffer that they were read into.
#[derive(Default)]
struct Received {
    method: HttpMethod,
    target: Uri,
    headers: HeaderMap,
    /// Whether it offers to go on with another protocol.
    upgrade: bool,
}

/// What is done with a request.
async fn handle<S: Service>(front: Arc<Handler<S>>, side: Side, request: HttpRequest, payload: Payload) -> HttpResponse {
    let connection = request.conn_data::<Rc<Connection>>().map(Rc::clone);
    let received: Received = request.extensions_mut().remove().unwrap_or_default();
    if let Some(connection) = &connection {
        connection.started(Length::of(&received.method, &received.headers));
    }
    let (response, end) = match admin::page(&request, &received, side) {
        Some(page) => (admin::show(front, page).await, End::default()),
        None => front.respond(request, &received, payload, side).await,
    };
    if let Some(connection) = &connection {
        connection.answered(end.last, end.known);
    }
    response
}

/// From the signal to stop on, connections that were taken before it have this long to say what they came for. Whoever has just connected
/// would otherwise be sent away without an answer.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Waits until connections on which nothing is asked are to end.
async fn ending(stop: GracefulShutdownSignal) {
    stop.notified().await;
    sleep(LAST_WORDS).await;
}

/// What a worker does with a connection.
fn pipeline<S: Service>(
    front: Arc<Handler<S>>,
    side: Side,
    stop: GracefulShutdownSignal,
    room: Arc<Room>,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()> {
    let Config { head_timeout: head, keep_alive, write_timeout: write, .. } = front.config;
    let deadlines = Deadlines { head, keep_alive, write };
    let tls = front.config.tls.clone().filter(|_| side != Side::Admin);
    let stopping = stop.clone();
    let metrics = Arc::clone(&front.metrics);
    let refuse: deadlines::Refuse = {
        let front = Arc::clone(&front);
        Rc::new(move |error, peer| front.refuse(error, peer))
    };
    let handler = move |request: HttpRequest, payload: Payload| handle(Arc::clone(&front), side, request, payload);
    let app = App::new().default_service(web::to(handler));
    let app = IntoServiceFactory::<_, Request>::into_factory(app).map_err(|error| error.error_response());
    let app = apply_fn_factory(app, |mut request: Request, app| {
        let received = Received {
            method: request.method().clone(),
            upgrade: request.upgrade(),
            target: mem::take(request.uri_mut()),
            headers: mem::take(request.headers_mut()),
        };
        request.extensions_mut().insert(received);
        app.call(request)
    });
    let http = HttpService::build()
        // Kept by `Timed`.
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(LINGER)
        .graceful_shutdown_signal(move || ending(stop.clone()))
        .on_connect_ext(|stream: &Timed, data| {
            data.insert(stream.connection());
        })
        .finish(map_config(app, |()| AppConfig::default()));
    fn_service(move |stream: TcpStream| {
        // An answer is one small write; that the kernel may hold it back is no reason to drop the connection.
        let _ = stream.set_nodelay(true);
        let (tls, refuse, stopping) = (tls.clone(), Rc::clone(&refuse), stopping.clone());
        let (expects_tls, metrics) = (tls.is_some(), Arc::clone(&metrics));
        let place = room.enter(stream.peer_addr().ok().map(|peer| peer.ip()));
        async move {
            let stream = match tls {
                None => Stream::Plain(stream),
                Some(tls) => tokio::select! {
                    shaken = timeout(head, shake(&tls, stream)) => {
                        let reason = if shaken.is_err() { "late" } else { "refused" };
                        let shaken = shaken.unwrap_or_else(|late| Err(late.into()));
                        shaken.inspect_err(|_| metrics.handshake_failed(reason)).map_err(DispatchError::Io)?
                    }
                    () = place.left() => return Err(DispatchError::Io(io::ErrorKind::ConnectionAborted.into())),
                    () = ending(stopping) => return Err(DispatchError::Io(io::ErrorKind::ConnectionAborted.into())),
                },
            };
            let refused = (expects_tls && !stream.is_secure()).then_some(Error::PlainToTls);
            let mut stream = Timed::new(stream, place, deadlines, refuse);
            if let Some(error) = refused {
                metrics.handshake_failed("plain_http");
                stream.end(&error);
            }
            let peer = stream.peer();
            Ok((stream, Protocol::Http1, peer))
        }
    })
    .and_then(http)
}

/// Shakes hands, unless the client speaks plain HTTP, which is then to be told that this is the wrong address for it.
async fn shake(tls: &Tls, stream: TcpStream) -> io::Result<Stream> {
    if first_byte::speaks_http(&stream).await? {
        return Ok(Stream::Plain(stream));
    }
    Ok(Stream::Tls(Box::new(tls.accept(stream).await?)))
}
