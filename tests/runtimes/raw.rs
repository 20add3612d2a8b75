//! A peer of the server that writes and reads bytes as they are.

use crate::platform::Platform;
use sansse::net::{Connector, FailureKind, Socket, Target};
use std::future::poll_fn;
use std::net::SocketAddr;

pub(crate) struct Raw<P: Platform> {
    socket: <P::Connector as Connector>::Socket,
}

impl<P: Platform> Raw<P> {
    pub(crate) async fn connect(platform: &P, address: SocketAddr) -> Self {
        let target = Target::of(&format!("http://{address}/").parse().unwrap()).unwrap();
        Self { socket: platform.connector().connect(target).await.unwrap() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let mut bytes = bytes.as_ref();
        while !bytes.is_empty() {
            let written = poll_fn(|context| self.socket.poll_write(context, bytes)).await.unwrap();
            bytes = &bytes[written..];
        }
    }

    /// Some bytes; none at the proper end.
    pub(crate) async fn read(&mut self) -> Result<Vec<u8>, FailureKind> {
        let mut buffer = vec![0; 64 << 10];
        let read = poll_fn(|context| self.socket.poll_read(context, &mut buffer)).await;
        let length = read.map_err(|failure| failure.kind())?;
        buffer.truncate(length);
        Ok(buffer)
    }

    /// All that comes, and how it ends.
    pub(crate) async fn read_to_end(&mut self) -> (Vec<u8>, Result<(), FailureKind>) {
        let mut all = Vec::new();
        loop {
            match self.read().await {
                Ok(bytes) if bytes.is_empty() => return (all, Ok(())),
                Ok(bytes) => all.extend(bytes),
                Err(kind) => return (all, Err(kind)),
            }
        }
    }

    pub(crate) async fn end_its_side(&mut self) {
        poll_fn(|context| self.socket.poll_shutdown(context)).await.unwrap();
    }

    /// Makes the end a reset.
    pub(crate) fn reset(&mut self) {
        self.socket.reset();
    }
}
