//! Follows an event stream by reqwest: with its proxies, TLS, HTTP/2 and compression, and sansse's
//! reconnecting and resuming.
//!
//! ```text
//! cargo run -p with-reqwest -- http://127.0.0.1:8080/events
//! ```

use reqwest::{Certificate, Client};
use sansse_reqwest::{EventSourceExt, SourceEvent};
use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

const HELP: &str = "\
Follows an event stream by reqwest: prints each message, and goes on through restarts of the server.

Usage: with-reqwest [OPTIONS] URL

Options:
      --http2         HTTP/2 without TLS, by prior knowledge
      --cacert FILE   trust whom these certificates name (PEM), and nobody else
  -h, --help          this text

Proxies are those of the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY). What happens to the
connection is told on standard error.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match follow().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("with-reqwest: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn follow() -> Result<(), Box<dyn Error>> {
    let Some(options) = Options::from_args()? else {
        println!("{HELP}");
        return Ok(());
    };
    // Only another library of this process could have chosen one before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = Client::builder();
    if options.http2 {
        client = client.http2_prior_knowledge();
    }
    if let Some(trusted) = options.trusted {
        client = client.tls_certs_only(trusted);
    }
    let mut source = client.build()?.get(options.url).event_source()?;
    while let Some(event) = source.next().await {
        match event {
            SourceEvent::Open(head) => eprintln!("open: {}", head.url),
            SourceEvent::Message(message) => {
                let mut out = io::stdout().lock();
                match writeln!(out, "{}", message.data).and_then(|()| out.flush()) {
                    // The reader of the pipe has closed it.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                    result => result?,
                }
            }
            SourceEvent::Lost { events: Some(events), reason } => {
                eprintln!("{events} events are lost: {reason}");
            }
            SourceEvent::Lost { events: None, reason } => eprintln!("events are lost: {reason}"),
            SourceEvent::Dropped(error) => eprintln!("an event was lost: {error}"),
            SourceEvent::Retrying { error, wait, .. } => {
                eprintln!("{error}; asking again in {:.1} s", wait.as_secs_f64());
            }
            SourceEvent::Closed(reason) => return Err(reason.into()),
            other => eprintln!("{other:?}"),
        }
    }
    Ok(())
}

struct Options {
    url: String,
    http2: bool,
    trusted: Option<Vec<Certificate>>,
}

impl Options {
    /// `None` where help is asked for.
    fn from_args() -> Result<Option<Self>, Box<dyn Error>> {
        use lexopt::prelude::*;
        let (mut url, mut http2, mut trusted) = (None, false, None);
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(None),
                Long("http2") => http2 = true,
                Long("cacert") => {
                    let path = arguments.value()?.string()?;
                    let text = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
                    let certificates = Certificate::from_pem_bundle(&text)?;
                    if certificates.is_empty() {
                        return Err(format!("{path}: there is no certificate in it").into());
                    }
                    trusted = Some(certificates);
                }
                Value(value) if url.is_none() => url = Some(value.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        let url = url.ok_or("a URL is missing; --help tells more")?;
        Ok(Some(Self { url, http2, trusted }))
    }
}
