//! One direction of a connection: bytes that are on their way, and bytes that have arrived.

use sansse::net::{Failure, FailureKind};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

pub(super) struct Pipe {
    /// Bytes, with when they arrive; none is empty.
    segments: VecDeque<(Instant, VecDeque<u8>)>,
    /// How many bytes there are, with those that are lost but not given up by the sender.
    length: usize,
    capacity: usize,
    end: Option<(Instant, End)>,
    last_arrival: Option<Instant>,
    /// How many bytes are taken before the connection breaks.
    left: Option<u64>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    is_abandoned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing more is sent.
    Proper,
    /// The connection is broken.
    Reset,
}

impl Pipe {
    pub(super) const fn new(capacity: usize, cut_after: Option<u64>) -> Self {
        Self {
            segments: VecDeque::new(),
            length: 0,
            capacity,
            end: None,
            last_arrival: None,
            left: cut_after,
            reader: None,
            writer: None,
            is_abandoned: false,
        }
    }

    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Failure>> {
        let mut length = 0;
        while length < buffer.len()
            && let Some((at, bytes)) = self.segments.front_mut()
            && *at <= now
        {
            let taken = bytes.len().min(buffer.len() - length);
            for (place, byte) in buffer[length..].iter_mut().zip(bytes.drain(..taken)) {
                *place = byte;
            }
            length += taken;
            if bytes.is_empty() {
                self.segments.pop_front();
            }
        }
        self.length -= length;
        if length > 0 {
            return Poll::Ready(Ok(length));
        }
        match self.end {
            Some((at, end)) if self.segments.is_empty() && at <= now => Poll::Ready(match end {
                End::Proper => Ok(0),
                End::Reset => Err(FailureKind::Closed.into()),
            }),
            _ => {
                self.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Takes what there is room for. What is written in silence is lost, and takes its room for
    /// ever, since nobody says that it arrived.
    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        at: Instant,
        bytes: &[u8],
        is_silent: bool,
    ) -> Poll<Result<usize, Failure>> {
        if self.end.is_some() || self.is_abandoned {
            return Poll::Ready(Err(FailureKind::Closed.into()));
        }
        let left = self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let taken = bytes.len().min(self.capacity - self.length).min(left);
        if taken == 0 {
            self.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        self.length += taken;
        self.left = self.left.map(|left| left - taken as u64);
        if !is_silent {
            let at = self.arrival(at);
            self.segments.push_back((at, bytes[..taken].iter().copied().collect()));
        }
        Poll::Ready(Ok(taken))
    }

    /// Ends it, after what was sent before; says when the reader is to be told.
    pub(super) fn end(&mut self, at: Instant, end: End, is_silent: bool) -> Option<Instant> {
        let is_news = match self.end {
            None => true,
            Some((_, End::Proper)) => end == End::Reset,
            Some((_, End::Reset)) => false,
        };
        if is_silent || !is_news {
            return None;
        }
        let at = self.arrival(at);
        self.end = Some((at, end));
        Some(at)
    }

    /// Nobody reads any more; says whether everything was read.
    pub(super) fn abandon(&mut self) -> bool {
        self.is_abandoned = true;
        self.segments.is_empty()
    }

    pub(super) const fn is_abandoned(&self) -> bool {
        self.is_abandoned
    }

    /// Whether it is to break now.
    pub(super) fn is_cut(&self) -> bool {
        self.left == Some(0)
    }

    /// When the last of what was sent arrives.
    pub(super) const fn last_arrival(&self) -> Option<Instant> {
        self.last_arrival
    }

    pub(super) fn take_reader(&mut self) -> Option<Waker> {
        self.reader.take()
    }

    pub(super) fn take_writer(&mut self) -> Option<Waker> {
        self.writer.take()
    }

    /// Nothing overtakes what was sent before.
    fn arrival(&mut self, at: Instant) -> Instant {
        let at = self.last_arrival.map_or(at, |last| at.max(last));
        self.last_arrival = Some(at);
        at
    }
}
