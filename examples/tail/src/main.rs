//! Follows an event stream: prints each message, and goes on through restarts of the server.
//!
//! ```text
//! cargo run -p tail -- http://127.0.0.1:8080/events
//! ```
//!
//! It speaks `https` too, and trusts whom the system trusts.
//!
//! Options:
//!
//! ```text
//! -H, --header 'NAME: VALUE'   a header of the request; may be repeated
//! -X, --method METHOD          the method; GET, or POST if there is a body
//! -d, --data TEXT              the request's body
//!     --repeatable             the request may be sent again although it has a body
//!     --from ID                the last event id to start after
//!     --cursor FILE            start after the id in FILE, and keep it there: it is written
//!                              after each message was printed
//!     --json                   one JSON object for each message
//!     --standard               behave as the standard says, and no more
//! ```

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use sansse::client::{ClientConfig, CloseReason, Policy};
use sansse::{EventId, OwnedMessage, SourceEvent};
use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match tail().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn tail() -> Result<(), Box<dyn Error>> {
    let options = Options::from_args()?;
    let mut source = sansse_tokio::connect_with(options.request, options.config);
    while let Some(event) = source.next().await {
        match event {
            SourceEvent::Open(head) => eprintln!("open: {}", head.url),
            SourceEvent::Message(message) => {
                match print(&message, options.json) {
                    // The reader of the pipe has closed it.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                    result => result?,
                }
                if let Some(cursor) = &options.cursor {
                    keep(cursor, &message.last_event_id)?;
                }
            }
            SourceEvent::Dropped(error) => eprintln!("an event was lost: {error}"),
            SourceEvent::Retrying { error, wait, .. } => {
                eprintln!("{error}; again in {:.1} s", wait.as_secs_f32());
                if let Some(answer) = error.answer() {
                    eprintln!("{}", String::from_utf8_lossy(&answer.body).trim_end());
                }
            }
            SourceEvent::Closed(CloseReason::NoContent) => {
                eprintln!("the server has nothing more");
            }
            SourceEvent::Closed(reason) => return Err(reason.to_string().into()),
            _ => {}
        }
    }
    Ok(())
}

fn print(message: &OwnedMessage, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        let object = serde_json::json!({
            "event": message.event_type.as_str(),
            "data": message.data,
            "id": message.last_event_id.as_str(),
        });
        writeln!(out, "{object}")?;
    } else if message.event_type.as_str() == "message" {
        writeln!(out, "{}", message.data)?;
    } else {
        writeln!(out, "{}: {}", message.event_type, message.data)?;
    }
    out.flush()
}

/// The file is replaced as a whole, so that it is never half written.
fn keep(cursor: &Path, id: &EventId) -> io::Result<()> {
    let mut beside = cursor.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, id.as_str())?;
    fs::rename(beside, cursor)
}

struct Options {
    request: Request<Bytes>,
    config: ClientConfig,
    json: bool,
    cursor: Option<PathBuf>,
}

impl Options {
    fn from_args() -> Result<Self, Box<dyn Error>> {
        use lexopt::prelude::*;
        let mut config = ClientConfig::new(sansse_tokio::random_seed());
        let (mut url, mut method, mut body) = (None, None, None);
        let mut headers = Vec::new();
        let (mut json, mut cursor): (bool, Option<PathBuf>) = (false, None);
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Value(value) if url.is_none() => url = Some(value.parse::<Uri>()?),
                Short('H') | Long("header") => headers.push(header(&arguments.value()?.string()?)?),
                Short('X') | Long("method") => method = Some(arguments.value()?.parse::<Method>()?),
                Short('d') | Long("data") => body = Some(arguments.value()?.string()?),
                Long("repeatable") => config.repeatable = true,
                Long("from") => {
                    config.last_event_id = Some(EventId::new(arguments.value()?.string()?)?);
                }
                Long("cursor") => cursor = Some(arguments.value()?.into()),
                Long("json") => json = true,
                Long("standard") => config.policy = Policy::standard(),
                _ => return Err(argument.unexpected().into()),
            }
        }
        if let Some(cursor) = &cursor {
            match fs::read_to_string(cursor) {
                Ok(id) => config.last_event_id = Some(EventId::new(id)?),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{}: {error}", cursor.display()).into()),
            }
        }
        let url = url.ok_or("which URL? tail [OPTIONS] URL")?;
        let usual = if body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder().method(method.unwrap_or(usual)).uri(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Bytes::from(body.unwrap_or_default()))?;
        Ok(Self { request, config, json, cursor })
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), Box<dyn Error>> {
    let (name, value) = text.split_once(':').ok_or("a header is 'NAME: VALUE'")?;
    Ok((name.trim().parse()?, value.trim().parse()?))
}
