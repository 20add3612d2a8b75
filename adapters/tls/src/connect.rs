//! Clients' connections.

use crate::socket::{MaybeTls, TlsSocket};
#[cfg(feature = "system-roots")]
use crate::{Roots, TlsConfigError};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use sansse::net::{Connector, Failure, FailureKind, Socket, Target};
use std::future::{Future, poll_fn};
use std::mem;
use std::sync::Arc;
#[cfg(feature = "system-roots")]
use std::sync::OnceLock;

/// The one protocol that the client speaks, as ALPN calls it (RFC 7301, 6).
const HTTP_1_1: &[u8] = b"http/1.1";

/// A [`Connector`] that opens connections by another and secures those that are to be, for `https`.
///
/// The server's certificate has to be for the host of the URL, be that a name or an address.
#[derive(Clone, Debug)]
pub struct Tls<C> {
    connector: C,
    config: Arc<ClientConfig>,
}

impl<C> Tls<C> {
    /// Secures what `connector` opens, as `config` says: that of [`Roots::client_config`], or
    /// any. Its ALPN protocols are replaced by `http/1.1`, the one that is spoken.
    ///
    /// Those made of one `Arc`, or of clones of one `config`, resume each other's sessions.
    pub fn new(connector: C, config: impl Into<Arc<ClientConfig>>) -> Self {
        let mut config = config.into();
        if config.alpn_protocols != [HTTP_1_1] {
            Arc::make_mut(&mut config).alpn_protocols = vec![HTTP_1_1.to_vec()];
        }
        Self { connector, config }
    }

    /// Secures what `connector` opens, trusting whom the system trusts.
    ///
    /// All that are made in this way share what [`Roots::system`] gave the first of them, and so
    /// the sessions that can be resumed.
    ///
    /// # Errors
    ///
    /// As [`Roots::system`]; it is read again the next time.
    #[cfg(feature = "system-roots")]
    pub fn with_system_roots(connector: C) -> Result<Self, TlsConfigError> {
        static SHARED: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        if let Some(config) = SHARED.get() {
            return Ok(Self { connector, config: config.clone() });
        }
        let Tls { config, .. } = Tls::new((), Roots::system()?.client_config());
        Ok(Self { connector, config: SHARED.get_or_init(|| config).clone() })
    }

    /// Secures a connection that was opened in any way. The peer has to show a certificate for
    /// `host`, a name or an address.
    ///
    /// # Errors
    ///
    /// The future fails as a connection for `https` does.
    pub fn handshake<S: Socket>(
        &self,
        socket: S,
        host: &str,
    ) -> impl Future<Output = Result<TlsSocket<S>, Failure>> + Send + use<S, C> {
        let session = self.session(host);
        async move { secured(socket, session?).await }
    }

    fn session(&self, host: &str) -> Result<ClientConnection, Failure> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| Failure::caused_by(FailureKind::Unsupported, error))?;
        ClientConnection::new(self.config.clone(), name)
            .map_err(|error| Failure::caused_by(FailureKind::Unsupported, error))
    }
}

impl<C: Connector> Connector for Tls<C> {
    type Socket = MaybeTls<C::Socket>;

    fn connect(
        &self,
        mut target: Target,
    ) -> impl Future<Output = Result<Self::Socket, Failure>> + Send + 'static {
        let is_secure = mem::take(&mut target.secure);
        let session = is_secure.then(|| self.session(&target.host)).transpose();
        let opening = self.connector.connect(target);
        async move {
            let session = session?;
            let socket = opening.await?;
            match session {
                Some(session) => Ok(MaybeTls::Tls(secured(socket, session).await?)),
                None => Ok(MaybeTls::Plain(socket)),
            }
        }
    }

    /// Secures the tunnel that a proxy has opened. A proxy that is itself reached by TLS would take
    /// TLS within TLS, which is [`FailureKind::Unsupported`]; [`handshake`](Tls::handshake) can do it,
    /// for connectors of other types.
    fn secure(
        &self,
        socket: Self::Socket,
        host: &str,
    ) -> impl Future<Output = Result<Self::Socket, Failure>> + Send + 'static {
        let securing = match socket {
            MaybeTls::Plain(socket) => Ok(self.handshake(socket, host)),
            MaybeTls::Tls(_) => Err(Failure::new(FailureKind::Unsupported)
                .with_detail("this connector does no TLS within the TLS of a proxy")),
        };
        async move { Ok(MaybeTls::Tls(securing?.await?)) }
    }
}

async fn secured<S: Socket>(socket: S, session: ClientConnection) -> Result<TlsSocket<S>, Failure> {
    let mut socket = TlsSocket::new(socket, session.into());
    match poll_fn(|context| socket.poll_secure(context)).await {
        Ok(()) => Ok(socket),
        // The socket's own failures are those of a handshake, too.
        Err(failure) if failure.kind() == FailureKind::Closed => {
            let detail = failure.detail().to_owned();
            Err(Failure::new(FailureKind::Tls).with_detail(detail))
        }
        Err(failure) => Err(failure),
    }
}
