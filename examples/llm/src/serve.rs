//! The server: an answer is a stream of events, which is polled as fast as its reader reads.

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use sansse::Event;
use sansse::answer::AnswerStream;
use sansse::broker::BrokerConfig;
use sansse::hub::{Answer, HubBuilder};
use sansse::serve::Server;
use sansse_tokio::{TokioAcceptor, TokioRuntime};
use serde::Deserialize;
use serde_json::{Value, json};
use std::error::Error;
use std::fmt;
use std::future::{Future, ready};
use std::iter;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

const PATH: &str = "/v1/chat/completions";

/// How a server answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// After how many pieces it is cut off.
    pub(crate) cut_after: Option<usize>,
    /// After how many pieces the model fails.
    pub(crate) fail_after: Option<usize>,
    /// The time before each piece.
    pub(crate) pause: Duration,
    /// How many pieces an answer has. If it is not said, as many as it takes.
    pub(crate) pieces: Option<usize>,
}

/// Why there is no more of an answer.
#[derive(Debug)]
struct ModelError;

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("The model is overloaded.")
    }
}

impl Default for Manner {
    fn default() -> Self {
        Self { cut_after: None, fail_after: None, pause: Duration::from_millis(40), pieces: None }
    }
}

pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{address}{PATH}")
}

pub(crate) async fn serve(
    listener: TcpListener,
    manner: Manner,
    shutdown: impl Future<Output = ()>,
) -> Result<(), sansse::broker::ConfigError> {
    // Sessions share what is published; here each answer is its reader's own, and the hub is idle.
    let config = BrokerConfig::new(sansse_tokio::random_epoch());
    let hub = sansse_tokio::spawn_hub(HubBuilder::new(config))?;
    Server::new(TokioRuntime, hub)
        .serve(TokioAcceptor::new(listener), shutdown, move |request| {
            ready(answer(&request, manner))
        })
        .await;
    Ok(())
}

fn answer(request: &Request<Bytes>, manner: Manner) -> Answer {
    if request.uri().path() != PATH {
        return refuse(StatusCode::NOT_FOUND, &format!("There is only {PATH}.")).into();
    }
    if request.method() != Method::POST {
        let mut refusal = refuse(StatusCode::METHOD_NOT_ALLOWED, "A question comes by POST.");
        refusal.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static("POST"));
        return refusal.into();
    }
    if let Err(refusal) = sansse::http::accept(request) {
        return refusal.response().into();
    }
    match question(request.body()) {
        Ok(question) => AnswerStream::with_error_event(say(&question, manner), error_event).into(),
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()).into(),
    }
}

/// The events of an answer. What they are made of is asked for when the reader has room for it.
fn say(
    question: &Question,
    manner: Manner,
) -> impl Stream<Item = Result<Event, ModelError>> + use<> {
    let mut pieces = pieces(&question.text);
    let count = manner.pieces.unwrap_or(pieces.len());
    if count > pieces.len() {
        pieces.push("\n".to_owned());
    }
    let model = question.model.clone();
    let content = move |piece: String| chunk(&model, &json!({ "content": piece }), None);
    let content = pieces.into_iter().cycle().take(count).map(content).map(Ok);
    let end = [chunk(&question.model, &json!({}), Some("stop")), "[DONE]".to_owned()];
    let events: Box<dyn Iterator<Item = Result<String, ModelError>> + Send> =
        match (manner.cut_after, manner.fail_after) {
            (None, None) => Box::new(content.chain(end.map(Ok))),
            (Some(pieces), _) => Box::new(content.take(pieces)),
            (None, Some(pieces)) => {
                Box::new(content.take(pieces).chain(iter::once(Err(ModelError))))
            }
        };
    stream::iter(events).then(move |data| async move {
        if !manner.pause.is_zero() {
            tokio::time::sleep(manner.pause).await;
        }
        data.map(Event::new)
    })
}

/// How the asker is told of a failure, in the form that many services share.
#[expect(clippy::unnecessary_wraps, reason = "others may tell nothing")]
fn error_event(error: &ModelError) -> Option<Event> {
    let error = json!({ "message": error.to_string(), "type": "server_error" });
    Some(Event::new(json!({ "error": error }).to_string()))
}

fn chunk(model: &str, delta: &Value, finish_reason: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish_reason });
    json!({ "object": "chat.completion.chunk", "model": model, "choices": [choice] }).to_string()
}

/// This is no language model. It says a few words about what it does, in pieces of one word.
fn pieces(question: &str) -> Vec<String> {
    let text = format!(
        "You ask: {question}\n\
         I am no model, but I speak as one does: each word of this is an event of its own, sent \
         when it is ready. After the last comes one more, “[DONE]”, and only who has seen it \
         has the whole answer. If the connection ends before, something is missing, however \
         well the last sentence sounded."
    );
    text.split_inclusive([' ', '\n']).map(str::to_owned).collect()
}

/// What is asked, and of what.
struct Question {
    model: String,
    text: String,
}

fn question(body: &[u8]) -> Result<Question, Box<dyn Error>> {
    #[derive(Deserialize)]
    struct Asked {
        model: String,
        messages: Vec<Message>,
        #[serde(default)]
        stream: bool,
    }
    #[derive(Deserialize)]
    struct Message {
        role: String,
        content: String,
    }
    let asked: Asked = serde_json::from_slice(body)?;
    if !asked.stream {
        return Err("Only streams are served: set \"stream\" to true.".into());
    }
    let mut messages = asked.messages.into_iter().rev();
    let text = messages.find(|message| message.role == "user").map(|message| message.content);
    match text.map(|text| text.trim().to_owned()) {
        Some(text) if !text.is_empty() => Ok(Question { model: asked.model, text }),
        _ => Err("There is no question in \"messages\".".into()),
    }
}

fn refuse(status: StatusCode, message: &str) -> Response<Bytes> {
    let body = json!({ "error": { "message": message, "type": "invalid_request_error" } });
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
