//! Sockets that nobody can hold for ever: a client that takes nothing of what it is sent is hung up on, whatever it was sent and
//! however its machine answers for it. What goes on slowly goes on.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};

/// A listener whose sockets have that patience.
pub struct Patient {
    pub listener: TcpListener,
    /// How long a client may take nothing.
    pub patience: Duration,
}

impl Listener for Patient {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Socket, SocketAddr) {
        let (stream, from) = Listener::accept(&mut self.listener).await;
        // Small pieces go out at once. The kernel would keep each until the last one is acknowledged, which takes clients up to
        // 40 ms. Without it a stream is late, and nothing else.
        let _ = stream.set_nodelay(true);
        (Socket { stream, patience: self.patience, stuck: None }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection.
pub struct Socket {
    stream: TcpStream,
    patience: Duration,
    /// Runs while there is something to send and the client takes nothing of it.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    fn held<T>(&mut self, cx: &mut Context<'_>, sent: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.stuck = None;
            return sent;
        }
        let patience = self.patience;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of what it is sent")))
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.held(cx, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.held(cx, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // TCP has nothing of its own to flush, so that this says nothing about the client.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use std::convert::Infallible;

    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use futures::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A server that never ends an answer.
    async fn talkative(patience: Duration) -> SocketAddr {
        let pieces = || futures::stream::repeat(Bytes::from_static(&[b'.'; 4096])).map(Ok::<_, Infallible>);
        let answer = move || async move { Body::from_stream(pieces()) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(answer));
        tokio::spawn(async move { axum::serve(Patient { listener, patience }, router).await });
        address
    }

    async fn asks(address: SocketAddr) -> TcpStream {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        client
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_hung_up_on() {
        let address = talkative(Duration::from_millis(200)).await;
        let mut client = asks(address).await;
        // It reads a little, so that the answer has begun, and then no more until it was hung up on.
        client.read_exact(&mut [0; 1024]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut rest = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(30), client.read_to_end(&mut rest)).await;
        assert!(end.is_ok(), "an answer that never ends came to its end, because the connection did");
    }

    #[tokio::test]
    async fn a_client_that_reads_slowly_goes_on() {
        let address = talkative(Duration::from_millis(500)).await;
        let mut client = asks(address).await;
        let mut piece = vec![0; 1 << 20];
        for _ in 0..20 {
            client.read_exact(&mut piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
