//! A stream that remembers when something last moved in it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

pub(super) struct Watched<T> {
    inner: T,
    moved: Arc<AtomicU64>,
    start: Instant,
}

impl<T> Watched<T> {
    pub fn new(inner: T) -> Self {
        Self { inner, moved: Arc::default(), start: Instant::now() }
    }

    /// Resolves when nothing has moved for so long, in either direction.
    pub fn idle(&self, limit: Duration) -> impl Future<Output = ()> + use<T> {
        let (moved, start) = (self.moved.clone(), self.start);
        async move {
            loop {
                let last = start + Duration::from_millis(moved.load(Ordering::Relaxed));
                let due = last + limit;
                if due <= Instant::now() {
                    return;
                }
                sleep_until(due).await;
            }
        }
    }

    fn touch(&self) {
        self.moved.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_ready() {
            self.touch();
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        if written.is_ready() {
            self.touch();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
