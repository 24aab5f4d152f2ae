//! An HTTP server on a runtime of its own, which can answer or hang up.
//!
//! The own runtime keeps the simulator alive and quick whatever the test's runtime is doing, and makes an end on drop.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::runtime::{Handle, Runtime};

/// Instead of an answer: close the connection without a word.
#[derive(Debug)]
pub(crate) struct HangUp;

impl std::fmt::Display for HangUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the simulator hung up")
    }
}

impl std::error::Error for HangUp {}

/// What a handler gives back.
pub(crate) type Reply = Result<Response<Body>, HangUp>;

/// A bound socket and the runtime that will serve it; dropping it ends every connection.
#[derive(Debug)]
pub(crate) struct Server {
    runtime: Option<Runtime>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds at once, so that the address is known before anything is served.
    pub fn bind(listen: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("simulator")
            .enable_all()
            .build()?;
        Ok(Self { runtime: Some(runtime), listener, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn handle(&self) -> Handle {
        self.runtime.as_ref().unwrap().handle().clone()
    }

    /// Serves until the server is dropped. `answer` gets each request with its whole body.
    pub fn serve<F, Answer>(&self, answer: F)
    where
        F: Fn(Request<Bytes>) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Reply> + Send + 'static,
    {
        self.serve_on(self.listener.try_clone().unwrap(), answer);
    }

    /// The same on another socket, which does not block.
    pub fn serve_on<F, Answer>(&self, listener: TcpListener, answer: F)
    where
        F: Fn(Request<Bytes>) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Reply> + Send + 'static,
    {
        let answer = Arc::new(answer);
        self.handle().spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let answer = Arc::clone(&answer);
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = Arc::clone(&answer);
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = axum::body::to_bytes(Body::new(body), usize::MAX).await.map_err(|_| HangUp)?;
                        answer(Request::from_parts(parts, body)).await
                    }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // An ordinary drop would block, which is forbidden inside the test's own runtime.
            runtime.shutdown_background();
        }
    }
}
