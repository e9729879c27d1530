//! `/healthz`, `/readyz` and `/metrics`: for probes and monitoring, not part of the API.
//!
//! Owns: who may see which of the three, and their form. Called by: actix-web, before the API's own path.
//!
//! | listener | `/healthz`, `/readyz` | reasons in `/readyz`, `/metrics` |
//! |---|---|---|
//! | `admin_listen` | everybody | everybody: bind it where only operators reach it |
//! | the API's, without `admin_listen` | everybody | peers on loopback that forward for nobody |
//! | the API's, with `admin_listen` | everybody: load balancers ask where they send clients | nobody |

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, FORWARDED, HeaderName};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, rt};

use super::handler::Handler;
use super::{Readiness, Received, Service, Side};
use crate::base::ids::RequestId;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What a probe asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Alive,
    Ready { reasons: bool },
    Metrics,
}

/// The page a request asks for, if there is one for this caller on this listener.
pub(super) fn page(request: &HttpRequest, received: &Received, side: Side) -> Option<Page> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let headers = &received.headers;
    let local = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback())
        && !headers.contains_key(FORWARDED_FOR)
        && !headers.contains_key(FORWARDED);
    let trusted = side == Side::Admin || (side == Side::Api && local);
    match received.target.path() {
        "/healthz" => Some(Page::Alive),
        "/readyz" => Some(Page::Ready { reasons: trusted }),
        "/metrics" if trusted => Some(Page::Metrics),
        _ => None,
    }
}

/// Shows a page. Readiness is known already. Figures are read on a blocking thread; they take no permit, so that they can be seen
/// under load.
pub(super) async fn show<S: Service>(handler: Arc<Handler<S>>, page: Page) -> HttpResponse {
    let request_id = HeaderName::from_static(handler.service.request_id_header());
    let shown = match page {
        Page::Alive => Ok((StatusCode::OK, "text/plain", "alive\n".to_owned())),
        Page::Ready { reasons } => Ok(ready(&handler.service.readiness(), reasons)),
        Page::Metrics => {
            let render = move || handler.metrics.render(handler.in_flight());
            let text = rt::task::spawn_blocking(render).await;
            text.map(|text| (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text))
        }
    };
    let (status, media_type, body) =
        shown.unwrap_or_else(|_| (StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "failed\n".to_owned()));
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, media_type));
    response.insert_header((CACHE_CONTROL, "no-store"));
    response.insert_header((request_id, RequestId::new().to_string()));
    response.body(body)
}

fn ready(readiness: &Readiness, reasons: bool) -> (StatusCode, &'static str, String) {
    let Readiness { token, database, audit, clock } = readiness;
    let plain = |part: &Result<(), String>| part.clone().map(|()| None);
    let parts = [("token", plain(token)), ("database", plain(database)), ("audit", plain(audit)), ("clock", clock.clone())];
    let ok = parts.iter().all(|(_, state)| state.is_ok());
    let words = parts.map(|(name, state)| {
        let word = match state {
            Ok(Some(note)) if reasons => format!("ok: {note}"),
            Ok(_) => "ok".to_owned(),
            Err(why) if reasons => why,
            Err(_) => "unavailable".to_owned(),
        };
        (name.to_owned(), serde_json::Value::from(word))
    });
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, "application/json", serde_json::Value::Object(words.into_iter().collect()).to_string())
}
