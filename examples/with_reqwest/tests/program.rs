//! The program as it is started.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

use sansse::broker::{Audience, SessionConfig};
use sansse::{Event, Hub};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

fn follow(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_with-reqwest"));
    command.args(arguments).kill_on_drop(true).env_clear();
    command
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap()
}

#[tokio::test]
async fn messages_are_printed_and_the_end_of_the_server_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let hub = sansse_tokio::hub();
    let streams = hub.clone();
    let server = tokio::spawn(sansse_tokio::serve(listener, hub.clone(), move |request| {
        let answer = streams.accept(&request, SessionConfig::new());
        async { answer }
    }));
    hub.publish(Audience::Everyone, &Event::new("before")).unwrap();
    let mut program: Child =
        follow(&[&url]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut told = BufReader::new(program.stderr.take().unwrap()).lines();
    let open = timeout(PATIENCE, told.next_line()).await.unwrap().unwrap().unwrap();
    assert_eq!(open, format!("open: {url}"));
    for data in ["one", "two"] {
        hub.publish(Audience::Everyone, &Event::new(data)).unwrap();
        while next(&mut lines).await != data {}
    }
    server.abort();
    hub.close();
    let lost = timeout(PATIENCE, told.next_line()).await.unwrap().unwrap().unwrap();
    assert!(lost.contains("asking again in"), "{lost}");
}

/// The program prints what is published once it has its stream.
async fn follows(arguments: &[&str], hub: &Hub) {
    let mut program = follow(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let listening = async {
        while hub.counters().sessions == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, listening).await.expect("the program asks for events");
    hub.publish(Audience::Everyone, &Event::new("hello")).unwrap();
    while next(&mut lines).await != "hello" {}
}

#[tokio::test]
async fn a_stream_is_read_by_http_2() {
    use axum::http::Version;
    let hub = sansse_axum::hub();
    let streams = hub.clone();
    let events = async move |version: Version, stream: sansse_axum::StreamRequest| {
        assert_eq!(version, Version::HTTP_2);
        stream.open(&streams, SessionConfig::new())
    };
    let routes = axum::Router::new().route("/", axum::routing::any(events));
    let listener = sansse_axum::Listener::bind("127.0.0.1:0").await.unwrap();
    let address = axum::serve::Listener::local_addr(&listener).unwrap();
    tokio::spawn(async { axum::serve(listener, routes).await });
    follows(&["--http2", &format!("http://{address}/")], &hub).await;
}

#[tokio::test]
async fn a_stream_is_read_by_tls_from_whom_the_certificate_names() {
    use sansse::serve::Server;
    use sansse_tokio::tls::{TlsListener, server_config};
    use sansse_tokio::{TokioAcceptor, TokioRuntime};
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let config = server_config(chain.as_bytes(), key.as_bytes()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let hub = sansse_tokio::hub();
    let streams = hub.clone();
    tokio::spawn(Server::new(TokioRuntime, hub.clone()).serve(
        TlsListener::new(TokioAcceptor::new(listener), config),
        std::future::pending(),
        move |request| {
            let answer = streams.accept(&request, SessionConfig::new());
            async { answer }
        },
    ));
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = file.join(format!("with-reqwest-{}.pem", std::process::id()));
    std::fs::write(&file, &chain).unwrap();
    follows(&["--cacert", file.to_str().unwrap(), &url], &hub).await;
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    for (arguments, error) in [
        (&[][..], "a URL is missing; --help tells more"),
        (&["--speed"], "invalid option '--speed'"),
        (&["--cacert", "/none", "http://a/"], "/none: No such file or directory (os error 2)"),
    ] {
        let output = follow(arguments).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, format!("with-reqwest: {error}\n"), "{arguments:?}");
        assert_eq!(output.status.code(), Some(1));
    }
}
