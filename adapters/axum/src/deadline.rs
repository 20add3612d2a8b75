//! Connections that are given up when their peers take nothing: [`WriteDeadline`].

use crate::stall::{LONGEST, Stall};
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

/// A connection whose writes fail when the peer has taken nothing for a time although bytes wait.
///
/// An HTTP stack asks a response's body for nothing while its peer takes nothing. So the body cannot
/// tell the stack that the hub has given the peer up, and the connection stays for as long as the peer
/// likes, with all that was written. This ends it by [`TimedOut`](io::ErrorKind::TimedOut), upon which
/// hyper drops the connection. It goes around any connection: of TCP, of a Unix socket, with TLS
/// around it or inside of it. A peer that takes a little now and then is not concerned, nor is one for
/// which nothing waits.
///
/// [`Listener`](crate::Listener) puts it around the connections of `axum::serve`. For hyper:
///
/// ```
/// use hyper_util::rt::TokioIo;
/// use sansse_axum::WriteDeadline;
/// use std::time::Duration;
///
/// # async fn example(listener: tokio::net::TcpListener) -> std::io::Result<()> {
/// let (stream, _) = listener.accept().await?;
/// let io = TokioIo::new(WriteDeadline::new(stream, Duration::from_secs(60)));
/// // hyper::server::conn::http1::Builder::new().serve_connection(io, service)
/// # Ok(()) }
/// ```
pub struct WriteDeadline<T> {
    io: T,
    stall: Stall,
    /// Ends at a deadline of `stall`, or before that. It is kept although the peer goes on, since a
    /// sleep for each write that waits would cost more.
    sleep: Option<Pin<Box<Sleep>>>,
    hurry: Option<Hurry>,
    /// Once there is a hurry.
    end: Option<End>,
    on_expiry: Option<fn(&T)>,
    is_expired: bool,
}

/// When a connection is given up on which nothing goes out any more. Its peer may owe the rest of a
/// request, or an answer to a ping, and a graceful shutdown would wait for it.
struct End {
    time: Duration,
    wrote_at: Instant,
    sleep: Pin<Box<Sleep>>,
}

/// What tells that the time is to be shortened.
struct Hurry {
    told: watch::Receiver<Option<Duration>>,
    /// Is ready then.
    wait: Pin<Box<dyn Future<Output = Duration> + Send + Sync>>,
    /// Who is woken then. Each read comes by here, and looking whether it is still the same task costs
    /// less than to wait anew.
    waker: Option<Waker>,
}

impl Hurry {
    fn new(told: watch::Receiver<Option<Duration>>) -> Self {
        let mut waits = told.clone();
        let wait = Box::pin(async move {
            match waits.wait_for(Option::is_some).await.map(|time| *time) {
                Ok(Some(time)) => time,
                // Nobody is left who could hurry.
                _ => std::future::pending().await,
            }
        });
        Self { told, wait, waker: None }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Duration> {
        let waits = self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if waits && !self.told.has_changed().unwrap_or(true) {
            return Poll::Pending;
        }
        self.waker = Some(context.waker().clone());
        self.wait.as_mut().poll(context)
    }
}

impl<T> WriteDeadline<T> {
    /// Puts a deadline around a connection: how long its peer may take nothing. 60 s is as long as a
    /// [hub](sansse::broker::SessionDefaults::stall_timeout) waits by default.
    ///
    /// ```
    /// # fn example(stream: tokio::net::TcpStream) {
    /// use std::time::Duration;
    ///
    /// let io = sansse_axum::WriteDeadline::new(stream, Duration::from_secs(60));
    /// # }
    /// ```
    pub fn new(io: T, time: Duration) -> Self {
        Self {
            io,
            stall: Stall::new(time),
            sleep: None,
            hurry: None,
            end: None,
            on_expiry: None,
            is_expired: false,
        }
    }

    /// Sets what is done to the connection when the deadline has passed, such as to have it reset, so
    /// that the system keeps nothing of what waits. Default: nothing.
    ///
    /// ```
    /// # fn example(stream: tokio::net::TcpStream) {
    /// use std::time::Duration;
    ///
    /// let io = sansse_axum::WriteDeadline::new(stream, Duration::from_secs(60))
    ///     .on_expiry(|stream| drop(socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))));
    /// # }
    /// ```
    pub const fn on_expiry(mut self, call: fn(&T)) -> Self {
        self.on_expiry = Some(call);
        self
    }

    /// Returns the connection itself.
    ///
    /// ```
    /// # fn example(io: sansse_axum::WriteDeadline<tokio::net::TcpStream>) -> std::io::Result<()> {
    /// io.get_ref().set_nodelay(true)?;
    /// # Ok(()) }
    /// ```
    pub const fn get_ref(&self) -> &T {
        &self.io
    }

    /// Gives up the peer after what is sent, if that is a shorter time, as soon as it is sent.
    #[cfg_attr(not(feature = "serve"), expect(dead_code, reason = "for the listener"))]
    pub(crate) fn with_hurry(mut self, hurry: watch::Receiver<Option<Duration>>) -> Self {
        self.hurry = Some(Hurry::new(hurry));
        self
    }

    /// Looks at what came of a write: whether the peer is to be given up.
    fn look<R>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if result.is_ready() {
            self.stall.handle_progress();
            if let Some(end) = &mut self.end {
                end.wrote_at = Instant::now();
            }
            return result;
        }
        loop {
            if self.stall.handle_blocked(Instant::now().into()) {
                return Poll::Ready(Err(self.expire()));
            }
            self.look_for_hurry(context);
            let Some(deadline) = self.stall.poll_timeout().map(Instant::from) else {
                return Poll::Pending;
            };
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if deadline < sleep.deadline() {
                sleep.as_mut().reset(deadline);
            }
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
        }
    }
}

impl<T> WriteDeadline<T> {
    fn look_for_hurry(&mut self, context: &mut Context<'_>) {
        if let Some(hurry) = &mut self.hurry
            && let Poll::Ready(time) = hurry.poll(context)
        {
            let (now, time) = (Instant::now(), time.min(LONGEST));
            self.hurry = None;
            self.stall.hurry(now.into(), time);
            let sleep = Box::pin(sleep_until(now + time));
            self.end = Some(End { time, wrote_at: now, sleep });
        }
    }

    /// Whether a connection that is to end has been without a word to its peer for too long.
    fn has_ended(&mut self, context: &mut Context<'_>) -> bool {
        let Some(end) = &mut self.end else { return false };
        while end.sleep.as_mut().poll(context).is_ready() {
            let until = end.wrote_at + end.time;
            if until <= Instant::now() {
                return true;
            }
            end.sleep.as_mut().reset(until);
        }
        false
    }

    fn expire(&mut self) -> io::Error {
        self.is_expired = true;
        if let Some(call) = self.on_expiry {
            call(&self.io);
        }
        expired()
    }
}

fn expired() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer took nothing for too long")
}

impl<T: AsyncRead + Unpin> AsyncRead for WriteDeadline<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.look_for_hurry(context);
        if self.is_expired || self.has_ended(context) {
            return Poll::Ready(Err(self.expire()));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_expired {
            return Poll::Ready(Err(expired()));
        }
        let result = Pin::new(&mut self.io).poll_write(context, bytes);
        self.look(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_expired {
            return Poll::Ready(Err(expired()));
        }
        let result = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.look(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_expired {
            return Poll::Ready(Err(expired()));
        }
        match Pin::new(&mut self.io).poll_flush(context) {
            // A flush of nothing is no progress of a write that waits.
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => self.look(context, Poll::Pending),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_expired {
            return Poll::Ready(Err(expired()));
        }
        let result = Pin::new(&mut self.io).poll_shutdown(context);
        self.look(context, result)
    }
}

impl<T: fmt::Debug> fmt::Debug for WriteDeadline<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteDeadline")
            .field("io", &self.io)
            .field("stall", &self.stall)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const TIME: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_once_the_peer_has_taken_nothing_for_the_time() {
        let (near, _far) = duplex(8);
        let mut io = WriteDeadline::new(near, TIME);
        let begun = Instant::now();
        let error = io.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), TIME.as_secs());
        // From then on everything does, at once.
        assert_eq!(io.write(&[0]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(io.shutdown().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), TIME.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_a_little_now_and_then_is_kept() {
        let (near, mut far) = duplex(8);
        let mut io = WriteDeadline::new(near, TIME);
        let reader = tokio::spawn(async move {
            for _ in 0..92 {
                tokio::time::sleep(TIME - Duration::from_secs(1)).await;
                far.read_u8().await.unwrap();
            }
            far
        });
        io.write_all(&[0; 100]).await.unwrap();
        drop(reader.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_waits_is_kept() {
        let (near, mut far) = duplex(8);
        let mut io = WriteDeadline::new(near, TIME);
        io.write_all(&[0; 8]).await.unwrap();
        tokio::time::sleep(TIME * 10).await;
        far.read_exact(&mut [0; 8]).await.unwrap();
        io.write_all(&[0; 8]).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_hurry_reaches_a_write_that_waits_already() {
        let (near, _far) = duplex(8);
        let (hurry, receiver) = watch::channel(None);
        let mut io = WriteDeadline::new(near, TIME).with_hurry(receiver);
        let begun = Instant::now();
        let writing = tokio::spawn(async move { io.write_all(&[0; 100]).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        hurry.send_replace(Some(Duration::from_secs(2)));
        drop(hurry);
        assert!(writing.await.unwrap().is_err());
        assert_eq!(begun.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hurry_gives_up_a_peer_that_is_waited_for_though_it_drips() {
        let (near, mut far) = duplex(8);
        let (hurry, receiver) = watch::channel(Some(Duration::from_secs(4)));
        let mut io = WriteDeadline::new(near, TIME).with_hurry(receiver);
        let begun = Instant::now();
        let dripping = tokio::spawn(async move {
            while far.write_u8(0).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        // What goes out meanwhile puts it off.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut byte = [0];
        io.read_exact(&mut byte).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        io.write_all(&[0]).await.unwrap();
        let error = loop {
            if let Err(error) = io.read_exact(&mut byte).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), 3 + 4);
        drop((io, hurry));
        dripping.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_to_be_done_at_the_deadline_is_done_once() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let (near, _far) = duplex(8);
        let mut io = WriteDeadline::new(near, TIME).on_expiry(|_| {
            CALLS.fetch_add(1, Ordering::SeqCst);
        });
        assert!(io.write_all(&[0; 100]).await.is_err());
        assert!(poll_fn(|context| Pin::new(&mut io).poll_flush(context)).await.is_err());
        assert_eq!(CALLS.load(Ordering::SeqCst), 1);
    }
}
