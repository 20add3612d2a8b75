//! What it costs to share a stream between nodes on a Redis, and to keep it in a file.
//!
//! All nodes are in this process, each with a hub and two connections of its own; the engine is a
//! process beside it. So on two cores everything shares them.

mod embedded;
mod engine;
mod nodes;

use engine::Engine;
use std::error::Error;
use std::process::ExitCode;

const HELP: &str = "\
Measures nodes that share a stream, and a stream in a file.

Usage: cluster [OPTIONS] [PART...]

Parts, all of them by default: latency, uninterested, resume, join, restart, embedded

Options:
      --server PROGRAM    the engine; redis-server by default, and valkey-server works too
      --seconds SECONDS   for how long each latency is measured; 5 by default
  -h, --help              this text";

const PARTS: [&str; 6] = ["latency", "uninterested", "resume", "join", "restart", "embedded"];

fn main() -> ExitCode {
    let result = match Options::from_args() {
        Ok(None) => {
            println!("{HELP}");
            Ok(())
        }
        Ok(Some(options)) => run(&options),
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    server: String,
    seconds: u64,
    parts: Vec<String>,
}

impl Options {
    fn from_args() -> Result<Option<Self>, Box<dyn Error>> {
        use lexopt::prelude::*;
        let mut options = Self { server: "redis-server".to_owned(), seconds: 5, parts: Vec::new() };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("server") => options.server = arguments.value()?.string()?,
                Long("seconds") => options.seconds = arguments.value()?.parse()?,
                Long("help") | Short('h') => return Ok(None),
                Value(part) => {
                    let part = part.string()?;
                    if !PARTS.contains(&part.as_str()) {
                        return Err(format!("there is no part {part:?}").into());
                    }
                    options.parts.push(part);
                }
                _ => return Err(argument.unexpected().into()),
            }
        }
        if options.parts.is_empty() {
            options.parts = PARTS.map(str::to_owned).to_vec();
        }
        Ok(Some(options))
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        for part in &options.parts {
            if part == "embedded" {
                embedded::measure().await?;
                continue;
            }
            let mut engine = Engine::start(&options.server)?;
            match part.as_str() {
                "latency" => nodes::latency(&engine, options.seconds).await?,
                "uninterested" => nodes::uninterested(&engine).await?,
                "resume" => nodes::resume(&engine).await?,
                "join" => nodes::join(&engine).await?,
                _ => nodes::restart(&mut engine).await?,
            }
        }
        Ok(())
    })
}
