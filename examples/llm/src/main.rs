//! A chat completion: a small server that streams its answer as language models do, one piece at a
//! time, and a client that prints the pieces as they come and knows a whole answer from a cut one.
//!
//! ```text
//! cargo run -p llm                                             # both, once whole and once cut
//! cargo run -p llm -- serve --addr 127.0.0.1:8090 --cut-after 12
//! cargo run -p llm -- ask http://127.0.0.1:8090/v1/chat/completions 'What are you?'
//! ```
//!
//! `--help` says what its commands do.

mod ask;
mod serve;

use ask::Ending;
use serve::Manner;
use std::error::Error;
use std::fmt::Display;
use std::future::pending;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Command::from_args() {
        Ok(Command::Show) => show().await,
        Ok(Command::Serve(address, manner)) => serve(address, manner).await,
        Ok(Command::Ask(url, question)) => {
            ask::ask(&url, &question).await.map(|ending| match ending {
                Ending::Whole => ExitCode::SUCCESS,
                Ending::Cut => ExitCode::from(2),
            })
        }
        Ok(Command::Help) => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error),
    };
    result.unwrap_or_else(|error| {
        eprintln!("llm: {error}");
        ExitCode::FAILURE
    })
}

const HELP: &str = "\
Streams answers as language models do, and reads them, and knows a whole answer from a cut one.

Usage: llm
       llm serve [--addr ADDRESS:PORT] [--pause MILLISECONDS] [--pieces PIECES]
                 [--cut-after PIECES] [--fail-after PIECES]
       llm ask URL QUESTION

Without a command it shows both, once whole and once cut off.

serve answers POST /v1/chat/completions with an event for each piece, and [DONE] at the end.
      --addr ADDRESS:PORT    where it listens; 127.0.0.1:8090 by default, and port 0 takes a free one
      --pause MILLISECONDS   the time before each piece; 40 by default
      --pieces PIECES        makes each answer that long, and repeats itself for that
      --cut-after PIECES     ends each answer after so many pieces, without [DONE]
      --fail-after PIECES    lets the model fail after so many pieces, and tells who asked

An answer is made as fast as its reader takes it, and no further once the reader has left.

ask prints the answer while it comes. It exits with 0 after a whole answer, with 2 after one that
was cut off, and with 1 where there was none. LLM_API_KEY is sent as a bearer token, if it is set;
LLM_MODEL is the model that is asked.

Options:
  -h, --help   this text";

/// Asks the same of two servers, of which one does not get to its end.
async fn show() -> Result<ExitCode, Box<dyn Error>> {
    let question = "How do I know that you have said everything?";
    for cut_after in [None, Some(17)] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = serve::url(listener.local_addr()?);
        let manner = Manner { cut_after, ..Manner::default() };
        let server = tokio::spawn(serve::serve(listener, manner, pending()));
        match cut_after {
            None => println!("A server that finishes its answer:\n"),
            Some(pieces) => println!("\nA server that is cut off after {pieces} pieces:\n"),
        }
        println!("> {question}\n");
        ask::ask(&url, question).await?;
        server.abort();
    }
    println!("\nTry `serve` and `ask` in two terminals. --help says how.");
    Ok(ExitCode::SUCCESS)
}

async fn serve(address: SocketAddr, manner: Manner) -> Result<ExitCode, Box<dyn Error>> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let url = serve::url(listener.local_addr()?);
    println!("The answers: {url}");
    println!("Ask it:      cargo run -p llm -- ask {url} 'What are you?'");
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("Ctrl-C will not end this in good order: {error}");
            pending::<()>().await;
        }
    };
    serve::serve(listener, manner, interrupted).await?;
    Ok(ExitCode::SUCCESS)
}

enum Command {
    Show,
    Serve(SocketAddr, Manner),
    Ask(String, String),
    Help,
}

impl Command {
    fn from_args() -> Result<Self, Box<dyn Error>> {
        use lexopt::prelude::*;
        let mut words: Vec<String> = Vec::new();
        let mut address = SocketAddr::from(([127, 0, 0, 1], 8090));
        let mut manner = Manner::default();
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            let serves = words.first().is_some_and(|word| word == "serve");
            match argument {
                Short('h') | Long("help") => return Ok(Self::Help),
                Long("addr") if serves => address = value(&mut arguments, "--addr")?,
                Long("cut-after") if serves => {
                    manner.cut_after = Some(value(&mut arguments, "--cut-after")?);
                }
                Long("fail-after") if serves => {
                    manner.fail_after = Some(value(&mut arguments, "--fail-after")?);
                }
                Long("pieces") if serves => {
                    manner.pieces = Some(value(&mut arguments, "--pieces")?);
                }
                Long("pause") if serves => {
                    manner.pause = Duration::from_millis(value(&mut arguments, "--pause")?);
                }
                Value(word) => words.push(word.string()?),
                _ => return Err(argument.unexpected().into()),
            }
        }
        match &words[..] {
            [] => Ok(Self::Show),
            [serve] if serve == "serve" => Ok(Self::Serve(address, manner)),
            [ask, url, question @ ..] if ask == "ask" && !question.is_empty() => {
                Ok(Self::Ask(url.clone(), question.join(" ")))
            }
            [ask, ..] if ask == "ask" => Err("ask what? llm ask URL QUESTION".into()),
            [serve, word, ..] if serve == "serve" => {
                Err(format!("serve takes no {word:?}; --help says more").into())
            }
            [command, ..] => {
                Err(format!("there is no command {command:?}; --help says more").into())
            }
        }
    }
}

/// The value of an option, whose error names it.
fn value<T: FromStr<Err: Display>>(
    arguments: &mut lexopt::Parser,
    option: &str,
) -> Result<T, Box<dyn Error>> {
    let text = arguments
        .value()?
        .into_string()
        .map_err(|text| format!("{option} {}: this is no UTF-8", text.display()))?;
    text.parse().map_err(|error| format!("{option} {text:?}: {error}").into())
}
