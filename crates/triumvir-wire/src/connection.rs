//! A connection as a server takes it: one whose peer has nothing to say is not kept. Only how long that
//! may be is known here; what is said is read elsewhere.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tonic::transport::server::Connected;

/// The length of what every HTTP/2 connection begins with, whole or not: RFC 9113, section 3.4.
const PREFACE_BYTES: usize = 24;
/// How long a peer may take for that.
const PREFACE_TIME: Duration = Duration::from_secs(10);
/// How long a peer may be silent where nothing asks it whether it is there.
/// Longer than scrapers of metrics pause between two requests.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// A connection that was accepted. What waits for its peer, who sends or takes nothing, fails with
/// [`io::ErrorKind::TimedOut`] once nothing has been read for too long. Must be used inside a tokio
/// runtime with time enabled.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    watch: Watch,
}

#[derive(Debug)]
enum Watch {
    /// So many bytes must be read before this ends.
    Preface { left: usize, until: Pin<Box<Sleep>> },
    /// Something must be read before this ends, which begins anew whenever something was.
    Silence { heard: bool, until: Pin<Box<Sleep>> },
    /// HTTP/2 asks a silent peer by itself, from the preface on.
    Over,
}

impl<S> Connection<S> {
    /// A connection for HTTP/2, which must begin within ten seconds. To be served with HTTP/2's own
    /// keepalive, which begins then.
    pub fn http2(stream: S) -> Self {
        let left = PREFACE_BYTES;
        let until = Box::pin(sleep(PREFACE_TIME));
        Self {
            stream,
            watch: Watch::Preface { left, until },
        }
    }

    /// A connection for HTTP/1, on which something must be heard every ninety seconds, also between two
    /// requests. Who sends requests and does not take the answers, so that no more is read, is silent.
    pub fn http1(stream: S) -> Self {
        let until = Box::pin(sleep(SILENCE_MAX));
        Self {
            stream,
            watch: Watch::Silence {
                heard: false,
                until,
            },
        }
    }
}

impl Watch {
    fn hear(&mut self, bytes: usize) {
        match self {
            Self::Preface { left, .. } if *left > bytes => *left -= bytes,
            Self::Preface { .. } => *self = Self::Over,
            Self::Silence { heard, .. } => *heard = true,
            Self::Over => {}
        }
    }

    /// Ready when the peer was silent for too long.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Preface { until, .. } => until.as_mut().poll(context),
            Self::Silence { heard, until } => {
                if std::mem::take(heard) {
                    until.as_mut().reset(Instant::now() + SILENCE_MAX);
                }
                until.as_mut().poll(context)
            }
            Self::Over => Poll::Pending,
        }
    }
}

impl<S> Connection<S> {
    /// `polled`, or an error when that waits for a peer that was silent for too long.
    fn attend<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_pending() && self.watch.poll(context).is_ready() {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the peer is silent");
            return Poll::Ready(Err(error));
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = &read {
            self.watch.hear(buffer.filled().len() - before);
        }
        self.attend(context, read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.attend(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.attend(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.attend(context, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.attend(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: Connected> Connected for Connection<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::advance;

    use super::*;

    /// What comes of reading on, and how long it took.
    async fn end<S: AsyncRead + Unpin>(
        connection: &mut Connection<S>,
    ) -> (io::ErrorKind, Duration) {
        let begun = Instant::now();
        let mut read = Vec::new();
        let error = connection.read_to_end(&mut read).await.unwrap_err();
        (error.kind(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_preface_that_does_not_come_is_not_waited_for() {
        for said in [0, 1, PREFACE_BYTES - 1] {
            let (mut peer, stream) = duplex(64);
            let mut connection = Connection::http2(stream);
            advance(PREFACE_TIME / 2).await;
            peer.write_all(&vec![b'x'; said]).await.unwrap();
            let (kind, after) = end(&mut connection).await;
            assert_eq!(kind, io::ErrorKind::TimedOut);
            assert!(after <= PREFACE_TIME / 2, "{said}: {after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_begun_is_not_disturbed() {
        let (mut peer, stream) = duplex(64);
        let mut connection = Connection::http2(stream);
        for byte in [b'x'; PREFACE_BYTES] {
            peer.write_all(&[byte]).await.unwrap();
        }
        let mut preface = [0; PREFACE_BYTES];
        connection.read_exact(&mut preface).await.unwrap();
        let mut more = [0; 1];
        let silent = tokio::time::timeout(PREFACE_TIME * 100, connection.read(&mut more));
        assert!(silent.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_no_answer_is_not_waited_for() {
        let (mut peer, stream) = duplex(64);
        let mut connection = Connection::http1(stream);
        peer.write_all(b"xx").await.unwrap();
        connection.read_u8().await.unwrap();
        // What the peer says more is not read before the answer is written.
        let error = connection.write_all(&[b'x'; 65]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let slices = [IoSlice::new(b"x")];
        let error = connection.write_vectored(&slices).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_begins_anew_with_every_word() {
        let (mut peer, stream) = duplex(64);
        let mut connection = Connection::http1(stream);
        for _ in 0..10 {
            advance(SILENCE_MAX / 2).await;
            peer.write_all(b"x").await.unwrap();
            connection.read_u8().await.unwrap();
        }
        let (kind, _) = end(&mut connection).await;
        assert_eq!(kind, io::ErrorKind::TimedOut);
    }
}
