//! Answers requests, on a thread of its own: whoever asks slowly or badly keeps nobody waiting who carries packets.

use std::{
    convert::Infallible,
    future::ready,
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::{encoding::text, registry::Registry};
use tokio::sync::Semaphore;

use super::{Wanted, address::Address, classic, exposition::Exposition, ledger::Ledger};
use crate::{
    fleet::standing::Standing,
    state::{self, StateDir},
    totals::Reading,
};

const PATH: &str = "/metrics";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Connections at a time; more wait in the listener's queue.
const CONNECTIONS: usize = 16;
/// How long a connection may take, from beginning to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a request's head is read, in bytes.
const HEAD: usize = 16 * 1024;
/// Pause after a connection could not be accepted: the process may have no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Why no metrics are served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened at.
    #[error("cannot serve metrics at {0}: {1}; give --metrics another address or port")]
    Bind(SocketAddr, io::Error),
    /// There is no thread.
    #[error("cannot start the thread that serves metrics: {0}")]
    Thread(#[from] io::Error),
}

/// A socket that listens already. Low ports need a privilege that the daemon gives up.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tenants: usize,
}

impl Listener {
    /// Listens where the user asked for it.
    ///
    /// # Errors
    /// The address is not there, or the port is taken.
    pub fn bind(asked: &Wanted) -> Result<Option<Self>, Error> {
        let Some(Address(address)) = asked.metrics else { return Ok(None) };
        let refused = |cause| Error::Bind(address, cause);
        let socket = TcpListener::bind(address).map_err(refused)?;
        socket.set_nonblocking(true).map_err(refused)?;
        Ok(Some(Self { socket, tenants: asked.metrics_tenants }))
    }

    /// Serves metrics until the process ends; of the fleet, if there is one, under this host's name in it. Sums begin with what is counted from now on.
    ///
    /// # Errors
    /// There is no thread.
    pub fn serve(
        self,
        dir: &StateDir,
        uplinks: &[String],
        fleet: Option<(String, Standing)>,
    ) -> Result<SocketAddr, Error> {
        let address = self.socket.local_addr()?;
        let (dir, uplinks) = (dir.clone(), uplinks.to_vec());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            let Err(error) = Server::new(dir, uplinks, fleet, self.tenants)
                .map_err(anyhow::Error::from)
                .and_then(|server| Ok(runtime.block_on(accept(self.socket, Arc::new(server)))?));
            eprintln!("xgre: no more metrics: {error}");
        })?;
        Ok(address)
    }
}

async fn accept(socket: TcpListener, server: Arc<Server>) -> io::Result<Infallible> {
    let socket = tokio::net::TcpListener::from_std(socket)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let Ok((stream, _)) = socket.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let server = server.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| ready(Ok::<_, Infallible>(server.answer(&request))));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .max_buf_size(HEAD)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            // Whoever went away, or asked for nonsense, has the answer that hyper gave.
            let _ = tokio::time::timeout(PATIENCE, connection).await;
            drop(place);
        });
    }
}

/// What requests are answered from.
struct Server {
    dir: StateDir,
    ledger: Arc<Mutex<Ledger>>,
    registry: Registry,
}

impl Server {
    fn new(
        dir: StateDir,
        uplinks: Vec<String>,
        fleet: Option<(String, Standing)>,
        tenants: usize,
    ) -> Result<Self, state::Error> {
        let ledger = Arc::new(Mutex::new(Ledger::new(tenants, Reading::take(&dir)?)));
        let begin = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let begin = begin.as_secs_f64();
        let mut registry = Registry::default();
        let exposition = Exposition { ledger: ledger.clone(), uplinks, fleet, begin };
        registry.register_collector(Box::new(exposition));
        Ok(Self { dir, ledger, registry })
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let plain = |status, text: String| answer(status, "text/plain; charset=utf-8", text);
        if request.uri().path() != PATH {
            return plain(StatusCode::NOT_FOUND, format!("Metrics are at {PATH}.\n"));
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, String::new());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
        let is_open = accept.is_some_and(|it| it.contains("application/openmetrics-text"));
        match self.scrape() {
            Ok(text) if is_open => answer(StatusCode::OK, OPEN_METRICS, text),
            Ok(text) => {
                let text = classic::from_open_metrics(&text);
                answer(StatusCode::OK, classic::CONTENT_TYPE, text)
            }
            Err(error) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        }
    }

    fn scrape(&self) -> anyhow::Result<String> {
        let reading = Reading::take(&self.dir)?;
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).enter(reading);
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn answer(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
