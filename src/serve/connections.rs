//! Serves the connections of the page: as many as the limit of open files allows, and none that is
//! slow to send its request.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tower_service::Service;

/// How long a connection may take to send the header of its next request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of connections, if the limit of open files allows it.
const MAX_CONNECTIONS: usize = 512;
/// Number of open files that are reserved for the ledger, logs and the like.
const RESERVED_FILES: usize = 32;
/// Delay after a connection could not be accepted, for example at the limit of open files.
const BACKOFF: Duration = Duration::from_millis(100);

/// Serves connections until the future is dropped.
///
/// # Errors
/// The operating system's, if it is no longer possible to listen.
pub async fn serve(listener: TcpListener, routes: Router) -> std::io::Result<()> {
    let connections = Arc::new(Connections {
        count: AtomicUsize::new(0),
        open: Mutex::default(),
    });
    let max = max_connections();

    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(BACKOFF).await;
            continue;
        };
        if connections.count.load(Ordering::Relaxed) >= max {
            connections.close_oldest();

            // The task of that connection closes its file.
            tokio::task::yield_now().await;
        }
        let connection = connections.add();
        tokio::spawn(serve_connection(
            stream,
            routes.clone(),
            Arc::clone(&connections),
            connection,
        ));
    }
}

/// The number of connections that the limit of open files allows.
fn max_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(u64::MAX);
    usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_sub(RESERVED_FILES)
        .clamp(4, MAX_CONNECTIONS)
}

/// The open connections.
struct Connections {
    /// Number of connections, including those that are being closed.
    count: AtomicUsize,
    /// The connections that are not being closed, the oldest first.
    open: Mutex<VecDeque<Arc<Connection>>>,
}

/// A connection.
struct Connection {
    /// Whether it has sent a request.
    has_asked: AtomicBool,
    /// Tells its task to close it.
    close: Notify,
}

impl Connections {
    fn open(&self) -> MutexGuard<'_, VecDeque<Arc<Connection>>> {
        // Nothing that may panic happens while it is locked.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self) -> Arc<Connection> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection {
            has_asked: AtomicBool::new(false),
            close: Notify::new(),
        });
        self.open().push_back(Arc::clone(&connection));
        connection
    }

    /// Makes room for another connection: closes the oldest one that has not sent a request, or
    /// else the oldest one. A page whose event stream is closed connects again.
    fn close_oldest(&self) {
        let mut open = self.open();
        let silent = open
            .iter()
            .position(|connection| !connection.has_asked.load(Ordering::Relaxed));
        if let Some(connection) = open.remove(silent.unwrap_or(0)) {
            connection.close.notify_one();
        }
    }
}

/// Answers the requests of a connection until it is closed.
async fn serve_connection(
    stream: TcpStream,
    routes: Router,
    connections: Arc<Connections>,
    connection: Arc<Connection>,
) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        connection.has_asked.store(true, Ordering::Relaxed);
        let mut routes = routes.clone();
        async move { routes.call(request).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // If a connection fails, the browser opens another one.
        _ = served => {}
        () = connection.close.notified() => {}
    }
    connections
        .open()
        .retain(|other| !Arc::ptr_eq(other, &connection));
    connections.count.fetch_sub(1, Ordering::Relaxed);
}
