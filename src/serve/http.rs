//! The page and its data over HTTP: read-only, without anything from other servers, never cached.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State as From};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};

use super::charts::{self, CurvesRequest};
use super::compare::{self, CompareRequest};
use super::engine::{Engine, Update};
use super::guard::{Guard, Verdict};
use super::list::{self, ListRequest};
use super::parameters::{self, ParametersRequest};
use super::trial;
use crate::grid::TrialId;
use crate::ledger::LedgerError;

/// Content security policy: only what this server sends is run or shown.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; img-src 'self' data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The files of the page: path, content type, text.
const FILES: [(&str, &str, &str); 11] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("page/page.html"),
    ),
    (
        "/page.css",
        "text/css; charset=utf-8",
        include_str!("page/page.css"),
    ),
    (
        "/page.js",
        "text/javascript; charset=utf-8",
        include_str!("page/page.js"),
    ),
    (
        "/dom.js",
        "text/javascript; charset=utf-8",
        include_str!("page/dom.js"),
    ),
    (
        "/overview.js",
        "text/javascript; charset=utf-8",
        include_str!("page/overview.js"),
    ),
    (
        "/charts.js",
        "text/javascript; charset=utf-8",
        include_str!("page/charts.js"),
    ),
    (
        "/compare.js",
        "text/javascript; charset=utf-8",
        include_str!("page/compare.js"),
    ),
    (
        "/server.js",
        "text/javascript; charset=utf-8",
        include_str!("page/server.js"),
    ),
    (
        "/trials.js",
        "text/javascript; charset=utf-8",
        include_str!("page/trials.js"),
    ),
    (
        "/trial.js",
        "text/javascript; charset=utf-8",
        include_str!("page/trial.js"),
    ),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// Returns the routes of the page and its data.
pub fn routes(engine: Engine, guard: Guard) -> Router {
    let mut routes = Router::new()
        .route("/api/overview", get(overview))
        .route("/api/trials", get(trials))
        .route("/api/trial/{id}", get(one_trial))
        .route("/api/curves", get(curves))
        .route("/api/compare", get(compared))
        .route("/api/parameters", get(parameter_effects))
        .route("/events", get(events));

    for (path, kind, text) in FILES {
        routes = routes.route(
            path,
            get(move || async move { ([(header::CONTENT_TYPE, kind)], text) }),
        );
    }

    let routes = routes.fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") });

    routes
        .with_state(engine)
        .layer(from_fn_with_state(Arc::new(guard), admit))
}

/// Refuses requests that the guard does not admit, and adds the headers of every answer. Nothing is
/// ever redirected.
async fn admit(From(guard): From<Arc<Guard>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = header_text(headers, header::HOST);
    let authorization = header_text(headers, header::AUTHORIZATION);

    // The files of the page say nothing about the sweep, so they are served without a token.
    let is_file = FILES.iter().any(|(path, ..)| *path == request.uri().path());
    let mut response = match guard.judge(host, authorization, is_file) {
        Verdict::Welcome => next.run(request).await,
        Verdict::WrongHost => {
            let what = "this is not a name of the machine that `pentagrid serve` runs on; \
                        open the URL that it printed\n";
            (StatusCode::MISDIRECTED_REQUEST, what).into_response()
        }
        Verdict::NoToken => {
            let what = "the token is missing or wrong; \
                        open the URL that `pentagrid serve` printed, with its token\n";
            (
                StatusCode::UNAUTHORIZED,
                [(header::WWW_AUTHENTICATE, "Bearer")],
                what,
            )
                .into_response()
        }
    };

    protect(response.headers_mut());
    response
}

fn header_text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Adds the headers that restrict what a browser does with an answer.
fn protect(headers: &mut HeaderMap) {
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    let same_origin = HeaderValue::from_static("same-origin");
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        same_origin.clone(),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        same_origin,
    );
}

/// Turns the result of a question to the engine into a response.
fn answer(found: Option<Result<Option<String>, LedgerError>>) -> Response {
    match found {
        Some(Ok(Some(json))) => (
            [(header::CONTENT_TYPE, "application/json")],
            Body::from(json),
        )
            .into_response(),
        Some(Ok(None)) => (StatusCode::NOT_FOUND, "not found\n").into_response(),
        Some(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        None => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the sweep is no longer monitored: start `pentagrid serve` again\n",
        )
            .into_response(),
    }
}

async fn overview(From(engine): From<Engine>) -> Response {
    answer(engine.ask(|state| Ok(Some(state.snapshot().json))).await)
}

async fn trials(From(engine): From<Engine>, Query(request): Query<ListRequest>) -> Response {
    let found = engine.ask(move |state| {
        let window = list::window(&state.sweep, state.version, request, &mut state.listed);
        Ok(Some(window))
    });
    answer(found.await)
}

async fn one_trial(From(engine): From<Engine>, Path(id): Path<String>) -> Response {
    // Text that is not an id is never used in a path or a query.
    let Ok(id) = id.parse::<TrialId>() else {
        return answer(Some(Ok(None)));
    };
    let found = engine.ask(move |state| {
        let found = trial::trial(&state.sweep, id, |id, arm| state.rerun(id, arm))?;
        // The log may contain anything that the program printed.
        Ok(found.map(|json| state.secrets.redact(&json).into_owned()))
    });
    answer(found.await)
}

async fn curves(From(engine): From<Engine>, Query(request): Query<CurvesRequest>) -> Response {
    let found = engine.ask(move |state| charts::curves(&state.sweep, &request).map(Some));
    answer(found.await)
}

async fn compared(From(engine): From<Engine>, Query(request): Query<CompareRequest>) -> Response {
    let found = engine.ask(move |state| compare::compare(&state.sweep, &request).map(Some));
    answer(found.await)
}

async fn parameter_effects(
    From(engine): From<Engine>,
    Query(request): Query<ParametersRequest>,
) -> Response {
    let found = engine.ask(move |state| Ok(parameters::parameters(&state.sweep, &request)));
    answer(found.await)
}

/// Sends a snapshot first, then updates. A page that cannot keep up gets a snapshot again.
async fn events(From(engine): From<Engine>) -> Response {
    let Some((snapshot, updates)) = engine.follow().await else {
        return answer(None);
    };

    let first = tokio_stream::once(event(&snapshot));
    let rest = BroadcastStream::new(updates).then(move |update| {
        let engine = engine.clone();
        async move {
            match update {
                Ok(update) => Some(event(&update)),
                Err(_lagged) => engine.ask(|state| event(&state.snapshot())).await,
            }
        }
    });
    stream(first.chain(rest.filter_map(|event| event))).into_response()
}

fn event(update: &Update) -> Event {
    Event::default()
        .id(update.version.to_string())
        .data(&update.json)
}

fn stream(events: impl Stream<Item = Event> + Send + 'static) -> impl IntoResponse {
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default())
}
