//! Whom a client trusts, and with what a server shows who it is.

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The certificate authorities that a client trusts: the system's, those that Mozilla trusts, one's
/// own, or several of these.
///
/// ```
/// use sansse_tls::{Roots, TlsConfigError};
///
/// # fn config() -> Result<(), TlsConfigError> {
/// let config = Roots::system()?.client_config();
/// # Ok(()) }
/// assert_eq!(Roots::none().with_pem(b"nothing").err(), Some(TlsConfigError::NoCertificate));
/// ```
#[derive(Clone, Debug)]
pub struct Roots {
    store: RootCertStore,
}

impl Roots {
    /// Makes an empty set, for those to which others are added.
    pub fn none() -> Self {
        Self { store: RootCertStore::empty() }
    }

    /// Reads those that the system trusts. They are read anew each time, which blocks for some
    /// milliseconds. They come from the system's store, or from where the environment variables
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` say, as with OpenSSL.
    ///
    /// What cannot be read among them is passed over: systems carry along some that are broken.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError::System`] where there is not one, as in containers without the package
    /// `ca-certificates`.
    #[cfg(feature = "system-roots")]
    pub fn system() -> Result<Self, TlsConfigError> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        let (usable, _) = store.add_parsable_certificates(found.certs);
        if usable > 0 {
            return Ok(Self { store });
        }
        let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        Err(TlsConfigError::System(errors.join("; ")))
    }

    /// Returns those that Mozilla trusts, as of the version of the crate `webpki-roots` that is
    /// inside the program. They are for systems that bring none, and they age with the program.
    #[cfg(feature = "bundled-roots")]
    pub fn bundled() -> Self {
        Self { store: webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect() }
    }

    /// Adds each certificate of a text in PEM (RFC 7468). Other things in it, such as keys, are
    /// passed over.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError::Pem`], [`TlsConfigError::NoCertificate`] or [`TlsConfigError::Certificate`].
    pub fn with_pem(mut self, pem: &[u8]) -> Result<Self, TlsConfigError> {
        for (index, certificate) in certificates(pem)?.into_iter().enumerate() {
            self.add(index, certificate)?;
        }
        Ok(self)
    }

    /// Adds a certificate in DER.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError::Certificate`].
    pub fn with_der(mut self, der: &[u8]) -> Result<Self, TlsConfigError> {
        self.add(0, CertificateDer::from(der))?;
        Ok(self)
    }

    /// Returns the configuration of a client that trusts these and has no certificate of its own.
    ///
    /// Clones of it resume each other's sessions.
    pub fn client_config(self) -> ClientConfig {
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            // The provider has cipher suites for both.
            .unwrap_or_else(|error| unreachable!("{error}"))
            .with_root_certificates(self.store)
            .with_no_client_auth()
    }

    fn add(&mut self, index: usize, certificate: CertificateDer<'_>) -> Result<(), TlsConfigError> {
        self.store
            .add(certificate.into_owned())
            .map_err(|reason| TlsConfigError::Certificate { index, reason })
    }
}

/// Returns the configuration of a server that shows who it is by a chain of certificates in PEM,
/// its own first, and the private key for that, in PEM too (PKCS #8, PKCS #1 or SEC 1). It asks
/// clients for no certificate.
///
/// Certificates that change while the server runs, several names and the like are for a
/// [`ServerConfig`] of one's own.
///
/// # Errors
///
/// [`TlsConfigError::Pem`], [`TlsConfigError::NoCertificate`], [`TlsConfigError::NoKey`], or
/// [`TlsConfigError::Identity`] where key and certificate do not fit each other.
pub fn server_config(chain: &[u8], key: &[u8]) -> Result<ServerConfig, TlsConfigError> {
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsConfigError::NoKey,
        error => TlsConfigError::Pem(error.to_string()),
    })?;
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsConfigError::Identity)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsConfigError::Identity)
}

/// What a configuration lacks, by the fault of who made it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// The system has no roots that can be read; what it said is inside.
    System(String),
    /// A text is no PEM; what is wrong is inside.
    Pem(String),
    /// There is no certificate in a text.
    NoCertificate,
    /// There is no private key in a text.
    NoKey,
    /// A certificate cannot be a root.
    Certificate {
        /// Which of them, from 0.
        index: usize,
        /// Why.
        reason: rustls::Error,
    },
    /// A server's certificate and key cannot be used, or do not fit each other.
    Identity(rustls::Error),
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(said) if said.is_empty() => {
                f.write_str("the system has no root certificates")
            }
            Self::System(said) => write!(f, "the system has no root certificates: {said}"),
            Self::Pem(what) => write!(f, "the PEM is broken: {what}"),
            Self::NoCertificate => f.write_str("there is no certificate in the PEM"),
            Self::NoKey => f.write_str("there is no private key in the PEM"),
            Self::Certificate { index, reason } => {
                write!(f, "certificate {index} cannot be a root: {reason}")
            }
            Self::Identity(reason) => {
                write!(f, "the server's certificate and key cannot be used: {reason}")
            }
        }
    }
}

impl Error for TlsConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Certificate { reason, .. } | Self::Identity(reason) => Some(reason),
            _ => None,
        }
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error: pem::Error| TlsConfigError::Pem(error.to_string()))?;
    if certificates.is_empty() { Err(TlsConfigError::NoCertificate) } else { Ok(certificates) }
}

/// Named, and not the process's default: that is for the program to set, and where several are
/// compiled in, there is none.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
