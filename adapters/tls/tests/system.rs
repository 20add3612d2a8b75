//! What the system trusts: that is told by the environment, and so in a process of its own.
#![cfg(feature = "system-roots")]

mod common;

use bytes::Bytes;
use common::tunnels::Tunnels;
use common::{Authority, HERE, Running, next_data, next_failure, next_open, quick};
use http::Request;
use sansse::EventSource;
use sansse::feed::Http1;
use sansse::net::FailureKind;
use sansse_tls::{Roots, TlsConfigError, server_config};
use sansse_tokio::{DefaultConnector, TokioConnector, TokioRuntime, connect_with};
use std::path::{Path, PathBuf};
use std::process::Command;

const MARK: &str = "SANSSE_TEST_DIRECTORY";

/// Runs the test of this name once more, in a process whose system trusts what is in this file,
/// and which finds its own files in `directory`.
fn child(test: &str, directory: &Path, trusted: &Path) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("SSL_CERT_FILE", trusted)
        .env_remove("SSL_CERT_DIR")
        .env(MARK, directory)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("1 passed"), "no test is called {test}: {stdout}");
}

/// In the process that was started for it: where the files are.
fn directory() -> Option<PathBuf> {
    std::env::var_os(MARK).map(PathBuf::from)
}

fn new_directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

#[tokio::test]
async fn connect_speaks_https_and_trusts_whom_the_system_trusts() {
    let Some(directory) = directory() else {
        let directory = new_directory("trusted");
        let authority = Authority::new();
        let (chain, key) = authority.issue(HERE);
        for (name, text) in [("root.pem", &authority.pem), ("chain.pem", &chain), ("key.pem", &key)]
        {
            std::fs::write(directory.join(name), text).unwrap();
        }
        let root = directory.join("root.pem");
        let test = "connect_speaks_https_and_trusts_whom_the_system_trusts";
        return child(test, &directory, &root);
    };
    let file = |name: &str| std::fs::read(directory.join(name)).unwrap();
    let server = Running::start(server_config(&file("chain.pem"), &file("key.pem")).unwrap()).await;
    let request = || Request::get(server.url()).body(Bytes::new()).unwrap();
    for _ in 0..2 {
        let mut source = connect_with(request(), quick());
        next_open(&mut source).await;
        server.say("hello");
        assert_eq!(next_data(&mut source).await, "hello");
        // On async-io, which has a reactor of its own and asks nothing of the executor.
        let mut source = sansse_smol::connect_with(request(), quick());
        next_open(&mut source).await;
        server.say("hello again");
        assert_eq!(next_data(&mut source).await, "hello again");
    }

    // Through proxies, of which one is reached by TLS itself.
    let certified = || server_config(&file("chain.pem"), &file("key.pem")).unwrap();
    for tunnels in [Tunnels::start().await, Tunnels::start_secure(certified()).await] {
        let connector = DefaultConnector::new(TokioConnector);
        let transport = Http1::new(connector).with_proxies(tunnels.proxies("user:secret"));
        let mut source = EventSource::new(transport, TokioRuntime, request(), quick());
        next_open(&mut source).await;
        server.say("hello through a tunnel");
        assert_eq!(next_data(&mut source).await, "hello through a tunnel");
        assert_eq!(tunnels.asked().len(), 1);
    }

    let stranger = Running::start(Authority::new().server()).await;
    let request = Request::get(stranger.url()).body(Bytes::new()).unwrap();
    let failure = next_failure(&mut connect_with(request, quick())).await;
    assert_eq!(failure.kind(), FailureKind::Certificate);
    assert!(failure.detail().starts_with("unknown issuer: "), "{failure}");
}

#[tokio::test]
async fn a_system_that_trusts_nobody_is_a_typed_error_and_ends_the_client() {
    let Some(directory) = directory() else {
        let directory = new_directory("empty");
        let root = directory.join("absent.pem");
        let test = "a_system_that_trusts_nobody_is_a_typed_error_and_ends_the_client";
        return child(test, &directory, &root);
    };
    let error = Roots::system().unwrap_err();
    assert!(
        matches!(&error, TlsConfigError::System(said) if said.contains("absent.pem")),
        "{error}"
    );
    assert!(directory.is_dir());

    let server = Running::start(Authority::new().server()).await;
    let request = Request::get(server.url()).body(Bytes::new()).unwrap();
    let mut source = connect_with(request, quick());
    let failure = next_failure(&mut source).await;
    assert_eq!(failure.kind(), FailureKind::Unsupported);
    assert_eq!(source.next().await, None);
}
