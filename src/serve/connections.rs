//! The connections of the page: as many as this program may have open files for, and none that takes its time with its request.

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

/// How long a connection may take to send the whole header of its next request.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// Maximum number of connections, where the limit of open files allows so many.
const MAX_CONNECTIONS: usize = 512;
/// Open files that are kept for the ledger, logs and the like.
const RESERVED_FILES: usize = 32;
/// Pause after a connection could not be accepted, as when no more files may be open.
const BACKOFF: Duration = Duration::from_millis(100);

/// Serves connections until the future is dropped.
///
/// # Errors
/// The operating system's, if nothing can be listened to any more.
pub async fn serve(listener: TcpListener, routes: Router) -> std::io::Result<()> {
    let connections = Arc::new(Connections { count: AtomicUsize::new(0), waiting: Mutex::default() });
    let most = most_connections();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(BACKOFF).await;
            continue;
        };
        if connections.count.load(Ordering::Relaxed) >= most && !connections.close_oldest() {
            // All of them are being answered: this one may come again.
            continue;
        }
        let connection = connections.open();
        tokio::spawn(attend(stream, routes.clone(), Arc::clone(&connections), connection));
    }
}

/// As many as the limit of open files allows.
fn most_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(RESERVED_FILES).clamp(4, MAX_CONNECTIONS)
}

/// All connections, and those of which no request has come yet, the oldest first.
struct Connections {
    count: AtomicUsize,
    waiting: Mutex<VecDeque<Arc<Connection>>>,
}

/// A connection.
struct Connection {
    /// Whether a request has come.
    asked: AtomicBool,
    /// It is to be closed.
    close: Notify,
}

impl Connections {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Arc<Connection>>> {
        // Nothing that may panic is done while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a connection.
    fn open(&self) -> Arc<Connection> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection { asked: AtomicBool::new(false), close: Notify::new() });
        self.waiting().push_back(Arc::clone(&connection));
        connection
    }

    /// Makes room for another: closes the connection that has been silent for the longest. False: all have asked for something.
    fn close_oldest(&self) -> bool {
        let mut waiting = self.waiting();
        while let Some(oldest) = waiting.pop_front() {
            if !oldest.asked.load(Ordering::Relaxed) {
                oldest.close.notify_one();
                return true;
            }
        }
        false
    }
}

/// Answers the requests of a connection until it ends.
async fn attend(stream: TcpStream, routes: Router, connections: Arc<Connections>, connection: Arc<Connection>) {
    let answer = |request: hyper::Request<Incoming>| {
        connection.asked.store(true, Ordering::Relaxed);
        let mut routes = routes.clone();
        async move { routes.call(request).await }
    };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    tokio::select! {
        // Whatever ends a connection, the browser opens another.
        _ = served => {}
        () = connection.close.notified() => {}
    }
    connections.waiting().retain(|other| !Arc::ptr_eq(other, &connection));
    connections.count.fetch_sub(1, Ordering::Relaxed);
}
