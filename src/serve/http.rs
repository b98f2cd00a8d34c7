//! The page and its answers over HTTP: reads only, nothing from elsewhere, nothing kept by caches.

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

use super::charts::{self, ArmRequest, CurvesRequest};
use super::compare::{self, CompareRequest};
use super::engine::{Engine, Update};
use super::guard::{Guard, Verdict};
use super::list::{self, Request as ListRequest};
use super::trial;
use crate::grid::TrialId;

/// Only what this server sends is run or shown.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files of the page: path, type, text.
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

/// The routes of a sweep's page and data.
pub fn routes(engine: Engine, guard: Guard) -> Router {
    let mut routes = Router::new()
        .route("/api/overview", get(overview))
        .route("/api/trials", get(trials))
        .route("/api/trial/{id}", get(one_trial))
        .route("/api/curves", get(curves))
        .route("/api/compare", get(compared))
        .route("/api/parameters", get(parameters))
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

/// Lets in who may come in, and puts the headers that hold for every answer. Nothing is ever
/// redirected.
async fn admit(From(guard): From<Arc<Guard>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let open = FILES.iter().any(|(path, ..)| *path == request.uri().path());
    let mut response = match guard.judge(text(header::HOST), text(header::AUTHORIZATION), open) {
        Verdict::Welcome => next.run(request).await,
        Verdict::WrongHost => {
            let what = "this is not a name of the machine that `pentagrid serve` runs on; open the URL that it printed\n";
            (StatusCode::MISDIRECTED_REQUEST, what).into_response()
        }
        Verdict::NoToken => {
            let what = "the token is missing or wrong; open the URL that `pentagrid serve` printed, with its token\n";
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

/// A JSON answer; an error of the ledger is told in words.
fn answer(found: Option<Result<Option<String>, String>>) -> Response {
    match found {
        Some(Ok(Some(json))) => (
            [(header::CONTENT_TYPE, "application/json")],
            Body::from(json),
        )
            .into_response(),
        Some(Ok(None)) => (StatusCode::NOT_FOUND, "not found\n").into_response(),
        Some(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error).into_response(),
        None => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the sweep is not watched any more: start `pentagrid serve` again\n",
        )
            .into_response(),
    }
}

async fn overview(From(engine): From<Engine>) -> Response {
    answer(engine.ask(|state| Ok(Some(state.snapshot().json))).await)
}

async fn trials(From(engine): From<Engine>, Query(request): Query<ListRequest>) -> Response {
    answer(
        engine
            .ask(move |state| {
                Ok(Some(list::window(
                    &state.sweep,
                    state.version,
                    request,
                    &mut state.listed,
                )))
            })
            .await,
    )
}

async fn one_trial(From(engine): From<Engine>, Path(id): Path<String>) -> Response {
    // What is no id never gets near a path or a query.
    let Ok(id) = id.parse::<TrialId>() else {
        return answer(Some(Ok(None)));
    };
    let find = move |state: &mut super::engine::State| {
        let found = trial::trial(&state.sweep, id, |id, arm| state.rerun(id, arm))
            .map_err(|error| error.to_string())?;
        // Its log is the program's own.
        Ok(found.map(|json| state.secrets.redact(&json).into_owned()))
    };
    answer(engine.ask(find).await)
}

async fn curves(From(engine): From<Engine>, Query(request): Query<CurvesRequest>) -> Response {
    let find = move |state: &mut super::engine::State| {
        charts::curves(&state.sweep, &request)
            .map(Some)
            .map_err(|error| error.to_string())
    };
    answer(engine.ask(find).await)
}

async fn compared(From(engine): From<Engine>, Query(request): Query<CompareRequest>) -> Response {
    let find = move |state: &mut super::engine::State| {
        compare::compare(&state.sweep, &request)
            .map(Some)
            .map_err(|error| error.to_string())
    };
    answer(engine.ask(find).await)
}

async fn parameters(From(engine): From<Engine>, Query(request): Query<ArmRequest>) -> Response {
    answer(
        engine
            .ask(move |state| Ok(charts::matters(&state.sweep, &request)))
            .await,
    )
}

/// First everything, then what changes. Who cannot keep up gets everything again.
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
