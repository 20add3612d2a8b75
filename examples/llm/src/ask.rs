//! The client: one request, one stream that ends by itself.

use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use sansse::SourceEvent;
use sansse::client::{ClientConfig, ClientError, CloseReason, Sentinel};
use serde::Deserialize;
use serde_json::json;
use std::error::Error;
use std::io::{self, Write};

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Whole,
    Cut,
}

/// Asks, and prints the answer while it comes.
pub(crate) async fn ask(url: &str, question: &str) -> Result<Ending, Box<dyn Error>> {
    let mut config = ClientConfig::answer(sansse_tokio::random_seed());
    config.sentinel = Some(Sentinel::Data("[DONE]".into()));
    // A server that is not there is not waited for for ever.
    config.policy.max_attempts = Some(3);
    let mut source = sansse_tokio::connect_with(request(url, question)?, config);
    let mut pieces = 0;
    while let Some(event) = source.next().await {
        match event {
            SourceEvent::Message(message) => {
                let text = piece(&message.data)?;
                pieces += usize::from(!text.is_empty());
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes())?;
                out.flush()?;
            }
            SourceEvent::Retrying { error, wait, .. } => {
                eprintln!("{error}; again in {:.1} s", wait.as_secs_f32());
            }
            SourceEvent::Dropped(error) => return Err(format!("a piece was lost: {error}").into()),
            SourceEvent::Closed(CloseReason::Finished) => {
                println!();
                eprintln!("(finished: {pieces} pieces)");
                return Ok(Ending::Whole);
            }
            SourceEvent::Closed(CloseReason::Failed(ClientError::Truncated(by))) => {
                println!();
                eprintln!("(cut off after {pieces} pieces, the answer is not whole: {by})");
                return Ok(Ending::Cut);
            }
            SourceEvent::Closed(reason) => return Err(explain(&reason).into()),
            _ => {}
        }
    }
    Err("the answer did not come".into())
}

fn request(url: &str, question: &str) -> Result<Request<Bytes>, Box<dyn Error>> {
    let model = std::env::var("LLM_MODEL").unwrap_or_else(|_| "example".to_owned());
    let body = json!({
        "model": model,
        "messages": [{ "role": "user", "content": question }],
        "stream": true,
    });
    let mut request = Request::post(url).header(CONTENT_TYPE, "application/json");
    if let Ok(key) = std::env::var("LLM_API_KEY") {
        request = request.header(AUTHORIZATION, format!("Bearer {key}"));
    }
    Ok(request.body(Bytes::from(body.to_string()))?)
}

/// The text of one event: a piece of the answer, or nothing where it says something else.
fn piece(data: &str) -> Result<String, Box<dyn Error>> {
    #[derive(Deserialize)]
    struct Chunk {
        #[serde(default)]
        choices: Vec<Choice>,
        error: Option<serde_json::Value>,
    }
    #[derive(Deserialize)]
    struct Choice {
        delta: Delta,
    }
    #[derive(Deserialize)]
    struct Delta {
        content: Option<String>,
    }
    let chunk: Chunk =
        serde_json::from_str(data).map_err(|error| format!("no piece of an answer: {error}"))?;
    // Some services tell of a failure in the middle of an answer.
    if let Some(error) = chunk.error {
        return Err(format!("the server gives up: {error}").into());
    }
    Ok(chunk.choices.into_iter().filter_map(|choice| choice.delta.content).collect())
}

/// Why there is no answer, with what the server says about it.
fn explain(reason: &CloseReason) -> String {
    let Some(answer) = reason.error().and_then(ClientError::answer) else {
        return reason.to_string();
    };
    let body = String::from_utf8_lossy(&answer.body);
    let json: Option<serde_json::Value> = serde_json::from_str(&body).ok();
    let message = json.as_ref().and_then(|json| json.pointer("/error/message")?.as_str());
    match message.unwrap_or(body.trim()) {
        "" => reason.to_string(),
        message => format!("{reason}: {message}"),
    }
}
