//! A listener whose connections break where a test wants it: at any byte of what a server sends.

use sansse::net::{Failure, FailureKind, Listener, Socket};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// Says where connections break.
#[derive(Clone, Default)]
pub(crate) struct Cuts {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// After how many bytes each of the next connections breaks.
    next: VecDeque<u64>,
    /// How often all connections were cut.
    all: u64,
    sockets: u64,
    /// Who is told when all are cut, by the numbers of the sockets.
    readers: BTreeMap<u64, Waker>,
}

pub(crate) struct Cutting<L> {
    listener: L,
    cuts: Cuts,
}

pub(crate) struct CutSocket<S> {
    socket: S,
    cuts: Cuts,
    number: u64,
    born: u64,
    left: Option<u64>,
}

impl Cuts {
    /// Each of the next connections breaks after so many bytes; those after them do not.
    pub(crate) fn after(&self, bytes: impl IntoIterator<Item = u64>) {
        self.lock().next.extend(bytes);
    }

    /// Breaks all connections that there are.
    pub(crate) fn all(&self) {
        let readers = {
            let mut state = self.lock();
            state.all += 1;
            std::mem::take(&mut state.readers)
        };
        readers.into_values().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl<L> Cutting<L> {
    pub(crate) fn new(listener: L, cuts: &Cuts) -> Self {
        Self { listener, cuts: cuts.clone() }
    }
}

impl<L: Listener> Listener for Cutting<L> {
    type Socket = CutSocket<L::Socket>;
    type Peer = L::Peer;

    fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(Self::Socket, Self::Peer), Failure>> {
        self.listener.poll_accept(context).map_ok(|(socket, peer)| {
            let cuts = self.cuts.clone();
            let (number, born, left) = {
                let mut state = cuts.lock();
                state.sockets += 1;
                (state.sockets, state.all, state.next.pop_front())
            };
            (CutSocket { socket, cuts, number, born, left }, peer)
        })
    }

    fn max_open_files(&self) -> Option<u64> {
        self.listener.max_open_files()
    }
}

impl<S> CutSocket<S> {
    fn is_cut(&self, context: &Context<'_>) -> bool {
        let mut state = self.cuts.lock();
        state.readers.insert(self.number, context.waker().clone());
        self.left == Some(0) || self.born < state.all
    }
}

impl<S: Socket> Socket for CutSocket<S> {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Failure>> {
        if self.is_cut(context) {
            return Poll::Ready(Err(FailureKind::Closed.into()));
        }
        self.socket.poll_read(context, buffer)
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>> {
        if self.is_cut(context) {
            return Poll::Ready(Err(FailureKind::Closed.into()));
        }
        let left = self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let written = self.socket.poll_write(context, &bytes[..bytes.len().min(left)]);
        if let (Poll::Ready(Ok(written)), Some(left)) = (&written, &mut self.left) {
            *left -= *written as u64;
            if *left == 0 {
                // The next poll breaks it, whether there is more to write or not.
                context.waker().wake_by_ref();
            }
        }
        written
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.socket.poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.socket.poll_shutdown(context)
    }

    fn reset(&mut self) {
        self.socket.reset();
    }
}

impl<S> Drop for CutSocket<S> {
    fn drop(&mut self) {
        self.cuts.lock().readers.remove(&self.number);
    }
}
