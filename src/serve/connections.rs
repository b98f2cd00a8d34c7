//! The connections of the page: as many as this program may have open files for, and none that
//! takes its time with its request.

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
    let connections = Arc::new(Connections {
        count: AtomicUsize::new(0),
        open: Mutex::default(),
    });
    let most = most_connections();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(BACKOFF).await;
            continue;
        };
        if connections.count.load(Ordering::Relaxed) >= most {
            connections.close_oldest();
            // Its file is closed by its own task.
            tokio::task::yield_now().await;
        }
        let connection = connections.add();
        tokio::spawn(attend(
            stream,
            routes.clone(),
            Arc::clone(&connections),
            connection,
        ));
    }
}

/// As many as the limit of open files allows.
fn most_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(u64::MAX);
    usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_sub(RESERVED_FILES)
        .clamp(4, MAX_CONNECTIONS)
}

/// The connections, the oldest first but for those that are being closed, and how many there are
/// with these.
struct Connections {
    count: AtomicUsize,
    open: Mutex<VecDeque<Arc<Connection>>>,
}

/// A connection.
struct Connection {
    /// Whether a request has come.
    asked: AtomicBool,
    /// It is to be closed.
    close: Notify,
}

impl Connections {
    fn open(&self) -> MutexGuard<'_, VecDeque<Arc<Connection>>> {
        // Nothing that may panic is done while it is held.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self) -> Arc<Connection> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection {
            asked: AtomicBool::new(false),
            close: Notify::new(),
        });
        self.open().push_back(Arc::clone(&connection));
        connection
    }

    /// Makes room for another: closes the oldest connection that has asked for nothing; if all
    /// have, the oldest. A page whose events end so connects again.
    fn close_oldest(&self) {
        let mut open = self.open();
        let silent = open
            .iter()
            .position(|connection| !connection.asked.load(Ordering::Relaxed));
        if let Some(connection) = open.remove(silent.unwrap_or(0)) {
            connection.close.notify_one();
        }
    }
}

/// Answers the requests of a connection until it ends.
async fn attend(
    stream: TcpStream,
    routes: Router,
    connections: Arc<Connections>,
    connection: Arc<Connection>,
) {
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
    connections
        .open()
        .retain(|other| !Arc::ptr_eq(other, &connection));
    connections.count.fetch_sub(1, Ordering::Relaxed);
}
