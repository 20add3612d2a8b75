//! Connections with and without TLS.

use sansse::net::{Connector, Failure, Socket, Target};
use std::future::Future;

/// Opens connections by another connector, and with the feature `tls` secures those for `https`,
/// trusting whom the system trusts.
///
/// The system's roots are read with the first such connection of the process, which holds up its
/// thread for some milliseconds. For other roots and configurations put a
/// [`Tls`](https://docs.rs/sansse-tls/latest/sansse_tls/struct.Tls.html) around the plain connector
/// instead. Without the feature, the plain connector is asked for everything; it refuses `https`.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultConnector<C> {
    plain: C,
}

impl<C> DefaultConnector<C> {
    /// Makes a connector around `plain`, which opens connections without TLS.
    pub const fn new(plain: C) -> Self {
        Self { plain }
    }
}

impl<C: Connector + Clone> Connector for DefaultConnector<C> {
    /// The same with and without TLS, so that a feature changes no types.
    type Socket = Box<dyn Socket>;

    fn connect(
        &self,
        target: Target,
    ) -> impl Future<Output = Result<Self::Socket, Failure>> + Send + 'static {
        let plain = self.plain.clone();
        async move {
            #[cfg(feature = "tls")]
            if target.secure {
                let secured = sansse_tls::Tls::with_system_roots(plain).map_err(|error| {
                    Failure::caused_by(sansse::net::FailureKind::Unsupported, error)
                })?;
                return Ok(Box::new(secured.connect(target).await?) as Self::Socket);
            }
            Ok(Box::new(plain.connect(target).await?) as Self::Socket)
        }
    }

    #[cfg(feature = "tls")]
    fn secure(
        &self,
        socket: Self::Socket,
        host: &str,
    ) -> impl Future<Output = Result<Self::Socket, Failure>> + Send + 'static {
        let host = host.to_owned();
        async move {
            let secured = sansse_tls::Tls::with_system_roots(()).map_err(|error| {
                Failure::caused_by(sansse::net::FailureKind::Unsupported, error)
            })?;
            Ok(Box::new(secured.handshake(socket, &host).await?) as Self::Socket)
        }
    }
}
