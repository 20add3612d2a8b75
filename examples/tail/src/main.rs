//! Follows an event stream: prints each message, and goes on through restarts of the server.
//!
//! ```text
//! cargo run -p tail -- http://127.0.0.1:8080/events
//! ```
//!
//! `--help` says what more it can do.

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use sansse::client::{ClientConfig, CloseReason, Policy};
use sansse::{EventId, EventSource, OwnedMessage, SourceEvent, Transport};
use std::error::Error;
use std::fmt::Display;
use std::fs;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::str::FromStr;
use std::task::Poll;

const HELP: &str = "\
Follows an event stream: prints each message, and goes on through restarts of the server.

Usage: tail [OPTIONS] URL

URL is http or https; for https, those are trusted whom the system trusts.

Options:
  -H, --header 'NAME: VALUE'   a header of the request; may be repeated
  -X, --method METHOD          the method; GET, or POST if there is a body
  -d, --data TEXT              the request's body
      --repeatable             the request may be sent again although it has a body
      --from ID                the last event id to start after
      --cursor FILE            start after the id in FILE, and keep it there: it is written
                               after each message was printed, and when the place moves
      --json                   one JSON object for each message
      --standard               behave as the standard says, and no more
  -h, --help                   this text

What happens to the connection is told on standard error. It ends when the server has nothing more
(status 204), and otherwise with an error and the exit status 1.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match tail().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tail: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn tail() -> Result<(), Box<dyn Error>> {
    let Some(options) = Options::from_args()? else {
        println!("{HELP}");
        return Ok(());
    };
    let mut source = sansse_tokio::connect_with(options.request, options.config);
    let mut cursor = options.cursor.map(|path| Cursor { path, kept: None });
    while let Some(event) = next(&mut source, cursor.as_mut()).await? {
        match event {
            SourceEvent::Open(head) => eprintln!("open: {}", head.url),
            SourceEvent::Message(message) => {
                match print(&message, options.json) {
                    // The reader of the pipe has closed it.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                    result => result?,
                }
                if let Some(cursor) = &mut cursor {
                    cursor.keep(message.last_event_id.as_str())?;
                }
            }
            SourceEvent::Dropped(error) => eprintln!("an event was lost: {error}"),
            SourceEvent::Lost { events: Some(events), reason } => {
                eprintln!("{events} events are lost: {reason}");
            }
            SourceEvent::Lost { events: None, reason } => eprintln!("events are lost: {reason}"),
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

/// The next event. Where there is none yet, the place is kept: it may have moved without a message,
/// as it does at the beginning of a stream.
async fn next<T: Transport>(
    source: &mut EventSource<T>,
    mut cursor: Option<&mut Cursor>,
) -> Result<Option<SourceEvent>, String> {
    poll_fn(|context| match Pin::new(&mut *source).poll_next(context) {
        Poll::Ready(event) => Poll::Ready(Ok(event)),
        Poll::Pending => {
            if let Some(cursor) = &mut cursor {
                cursor.keep(source.last_event_id())?;
            }
            Poll::Pending
        }
    })
    .await
}

/// The file that has the last event id.
struct Cursor {
    path: PathBuf,
    /// What it holds, as far as this has written it.
    kept: Option<String>,
}

impl Cursor {
    /// The file is replaced as a whole, so that it is never half written.
    fn keep(&mut self, id: &str) -> Result<(), String> {
        if id.is_empty() && self.kept.is_none() || self.kept.as_deref() == Some(id) {
            return Ok(());
        }
        let mut beside = self.path.as_os_str().to_owned();
        beside.push(".new");
        fs::write(&beside, id)
            .and_then(|()| fs::rename(beside, &self.path))
            .map_err(|error| format!("--cursor {}: {error}", self.path.display()))?;
        self.kept = Some(id.to_owned());
        Ok(())
    }
}

/// The id in the file, if there is one. Editors and `echo` end the file with line ends, which are no
/// part of the id.
fn kept(cursor: &Path) -> Result<Option<EventId>, Box<dyn Error>> {
    let text = match fs::read_to_string(cursor) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    Ok(Some(EventId::new(text.trim_end_matches(['\r', '\n']))?))
}

struct Options {
    request: Request<Bytes>,
    config: ClientConfig,
    json: bool,
    cursor: Option<PathBuf>,
}

impl Options {
    /// What the arguments say; nothing where they ask for help.
    fn from_args() -> Result<Option<Self>, Box<dyn Error>> {
        use lexopt::prelude::*;
        let mut config = ClientConfig::new(sansse_tokio::random_seed());
        let (mut url, mut method, mut body) = (None, None, None);
        let mut headers = Vec::new();
        let (mut json, mut cursor): (bool, Option<PathBuf>) = (false, None);
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(None),
                Value(url_text) if url.is_none() => {
                    let text = url_text.string()?;
                    url = Some(text.parse::<Uri>().map_err(|error| format!("{text}: {error}"))?);
                }
                Short('H') | Long("header") => {
                    let Header(name, value) = value(&mut arguments, "--header")?;
                    headers.push((name, value));
                }
                Short('X') | Long("method") => {
                    method = Some(value::<Method>(&mut arguments, "--method")?);
                }
                Short('d') | Long("data") => {
                    body = Some(value::<String>(&mut arguments, "--data")?);
                }
                Long("repeatable") => config.repeatable = true,
                Long("from") => {
                    let id = value::<String>(&mut arguments, "--from")?;
                    let id = EventId::new(id).map_err(|error| format!("--from: {error}"))?;
                    config.last_event_id = Some(id);
                }
                Long("cursor") => cursor = Some(arguments.value()?.into()),
                Long("json") => json = true,
                Long("standard") => config.policy = Policy::standard(),
                _ => return Err(argument.unexpected().into()),
            }
        }
        if let Some(cursor) = &cursor {
            config.last_event_id = kept(cursor)
                .map_err(|error| format!("--cursor {}: {error}", cursor.display()))?
                .or(config.last_event_id);
        }
        let url = url.ok_or("which URL? --help says more")?;
        let usual = if body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder().method(method.unwrap_or(usual)).uri(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Bytes::from(body.unwrap_or_default()))?;
        Ok(Some(Self { request, config, json, cursor }))
    }
}

/// The value of an option, whose error names it.
fn value<T: FromStr<Err: Display>>(
    arguments: &mut lexopt::Parser,
    option: &str,
) -> Result<T, String> {
    let text = arguments.value().map_err(|error| error.to_string())?;
    let text = text
        .into_string()
        .map_err(|text| format!("{option} {}: this is no UTF-8", text.display()))?;
    text.parse().map_err(|error| format!("{option} {text:?}: {error}"))
}

struct Header(HeaderName, HeaderValue);

impl FromStr for Header {
    type Err = Box<dyn Error>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once(':').ok_or("a header is 'NAME: VALUE'")?;
        Ok(Self(name.trim().parse()?, value.trim().parse()?))
    }
}
