//! The server: an answer is a session of its own, which ends with the answer.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use sansse::broker::{BrokerConfig, EventIds, SessionConfig, SessionId};
use sansse::hub::{Answer, HubBuilder};
use sansse::serve::Server;
use sansse::{Event, Hub};
use sansse_tokio::{TokioAcceptor, TokioRuntime};
use serde::Deserialize;
use serde_json::{Value, json};
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

const PATH: &str = "/v1/chat/completions";
/// Of a longer question, in characters, the answer repeats only the beginning: what is published to
/// a session does not wait for its reader, so that all pieces have to fit into what is kept for one,
/// by default 256 events.
const MAX_REPEATED: usize = 200;

/// How a server answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// After how many pieces it is cut off.
    pub(crate) cut_after: Option<usize>,
    /// The time between two pieces.
    pub(crate) pause: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        Self { cut_after: None, pause: Duration::from_millis(40) }
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
    let mut config = BrokerConfig::new(sansse_tokio::random_epoch());
    // Nobody can go on in the middle of an answer, so that no ids are needed.
    config.event_ids = EventIds::Own;
    let hub = sansse_tokio::spawn_hub(HubBuilder::new(config))?;
    let answers = hub.clone();
    Server::new(TokioRuntime, hub)
        .serve(TokioAcceptor::new(listener), shutdown, move |request| {
            let answer = answer(&answers, &request, manner);
            async { answer }
        })
        .await;
    Ok(())
}

fn answer(hub: &Hub, request: &Request<Bytes>, manner: Manner) -> Answer {
    if request.uri().path() != PATH {
        return refuse(StatusCode::NOT_FOUND, &format!("There is only {PATH}.")).into();
    }
    if request.method() != Method::POST {
        let mut refusal = refuse(StatusCode::METHOD_NOT_ALLOWED, "A question comes by POST.");
        refusal.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static("POST"));
        return refusal.into();
    }
    let question = match question(request.body()) {
        Ok(question) => question,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()).into(),
    };
    let answer = hub.accept(request, SessionConfig::new());
    if let Answer::Stream(_, session) = &answer {
        tokio::spawn(say(hub.clone(), session.id(), question, manner));
    }
    answer
}

/// Streams the answer into its session, and ends it.
async fn say(hub: Hub, session: SessionId, question: Question, manner: Manner) {
    let pieces = pieces(&question.text);
    for (number, piece) in pieces.iter().enumerate() {
        if manner.cut_after == Some(number) {
            hub.close_session(session);
            return;
        }
        let chunk = question.chunk(&json!({ "content": piece }), None);
        // The client may be gone. Then the rest is not needed.
        if hub.publish(session, &Event::new(chunk)).is_err() {
            return;
        }
        tokio::time::sleep(manner.pause).await;
    }
    let last = question.chunk(&json!({}), Some("stop"));
    for data in [last, "[DONE]".to_owned()] {
        if hub.publish(session, &Event::new(data)).is_err() {
            return;
        }
    }
    hub.close_session(session);
}

/// This is no language model. It says a few words about what it does, in pieces of one word.
fn pieces(question: &str) -> Vec<String> {
    let repeated: String = question.chars().take(MAX_REPEATED).collect();
    let text = format!(
        "You ask: {repeated}\n\
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

impl Question {
    fn chunk(&self, delta: &Value, finish_reason: Option<&str>) -> String {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish_reason });
        json!({
            "object": "chat.completion.chunk",
            "model": self.model,
            "choices": [choice],
        })
        .to_string()
    }
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
