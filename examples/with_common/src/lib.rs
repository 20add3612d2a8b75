//! What `with-axum`, `with-actix` and `with-hyper` share, which has nothing to do with event streams:
//! what the command line says, and when a server is to stop.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// What the command line says.
#[derive(Debug)]
pub struct Options {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Its certificate; `None`: without TLS.
    pub tls: Option<Arc<ServerConfig>>,
}

impl Options {
    /// Reads the arguments of the process; `None` where they ask for help.
    ///
    /// # Errors
    ///
    /// Which option is wrong, or which file cannot be read.
    pub fn from_args() -> Result<Option<Self>, Box<dyn Error>> {
        use lexopt::prelude::*;
        let mut address = SocketAddr::from(([127, 0, 0, 1], 8080));
        let (mut cert, mut key) = (None, None);
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("addr") => {
                    let text = arguments.value()?.string()?;
                    address = text.parse().map_err(|error| format!("--addr {text:?}: {error}"))?;
                }
                Long("cert") => cert = Some(PathBuf::from(arguments.value()?)),
                Long("key") => key = Some(PathBuf::from(arguments.value()?)),
                Long("help") | Short('h') => return Ok(None),
                _ => return Err(argument.unexpected().into()),
            }
        }
        let tls = match (cert, key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some(tls(&cert, &key)?),
            _ => return Err("--cert and --key belong together".into()),
        };
        Ok(Some(Self { address, tls }))
    }
}

fn tls(cert: &PathBuf, key: &PathBuf) -> Result<Arc<ServerConfig>, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| format!("--cert {}: {error}", cert.display()))?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| format!("--key {}: {error}", key.display()))?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Waits for Ctrl-C, or for what stops a service: SIGTERM.
pub async fn stopped() {
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("Ctrl-C will not end this in good order: {error}");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminations) => drop(terminations.recv().await),
        Err(error) => {
            eprintln!("SIGTERM will not end this in good order: {error}");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
