//! `rediss`, with certificates of the test's own.

use crate::engine::{Engine, Kind, free_port};
use crate::node::{EPOCH, Node, Witness};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use sansse::cluster::{Hello, Log, LogErrorKind, NodeId, Read};
use sansse_redis::{RedisLog, RedisLogConfig};
use sansse_tls::{Roots, Tls};
use sansse_tokio::{TokioConnector, TokioRuntime};
use std::fs;
use std::time::Duration;

on_each_engine! {
    a_log_over_tls_trusts_whom_it_is_told_to
}

/// An authority in PEM, and a chain and a key for this machine that it has issued.
fn certificates() -> (String, String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "authority of a test");
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    (authority, certificate, key.serialize_pem())
}

async fn a_log_over_tls_trusts_whom_it_is_told_to(kind: Kind) {
    if !kind.has_tls() {
        eprintln!("SKIPPED: {kind:?} is built without TLS");
        return;
    }
    let directory = crate::engine::directory();
    let (authority, certificate, key) = certificates();
    let file = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = (file("certificate", &certificate), file("key", &key));
    let port = free_port().to_string();
    let engine = Engine::start(
        kind,
        &[
            "--tls-port",
            &port,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-auth-clients",
            "no",
        ],
    );
    let roots = Roots::none().with_pem(authority.as_bytes()).unwrap();
    let connector = Tls::new(TokioConnector, roots.client_config());
    let log = |port: &str, connector: Tls<TokioConnector>| {
        let config = RedisLogConfig::from_url(&format!("rediss://127.0.0.1:{port}")).unwrap();
        RedisLog::new("realm", config, connector, TokioRuntime).unwrap()
    };
    let hello = Hello { node: NodeId(1), epoch: EPOCH, seen: 0 };
    let secure = log(&port, connector.clone());
    let head = secure.hello(hello).await.unwrap();
    let mut node = Node::new(2, &engine.url(), &Witness::default());
    node.hello().await.unwrap();
    let large = "x".repeat(3_000_000);
    node.append(1, &large).await.unwrap();
    let read = Read { after: head.position, max_bytes: 1, wait: Duration::from_secs(30) };
    assert_eq!(secure.read(read).await.unwrap().entries.len(), 1);
    secure.append(node.batch(1, large.into())).await.unwrap();

    // One who is not trusted, one who speaks no TLS, one who is asked without TLS, and a connector
    // that has none.
    let stranger = Tls::new(TokioConnector, Roots::none().client_config());
    let kind = |error: sansse::cluster::LogError| error.kind();
    let error = log(&port, stranger).hello(hello).await.unwrap_err();
    assert_eq!(kind(error), LogErrorKind::Unsupported);
    let plain = engine.port.to_string();
    let error = log(&plain, connector).hello(hello).await.unwrap_err();
    assert!(matches!(kind(error), LogErrorKind::Unreachable | LogErrorKind::Unsupported));
    let url = format!("redis://127.0.0.1:{port}");
    let error = Node::new(3, &url, &Witness::default()).hello().await.unwrap_err();
    assert!(matches!(kind(error), LogErrorKind::Unreachable | LogErrorKind::Malformed));
    let url = format!("rediss://127.0.0.1:{port}");
    let error = Node::new(3, &url, &Witness::default()).hello().await.unwrap_err();
    assert_eq!(kind(error), LogErrorKind::Unsupported);
    fs::remove_dir_all(directory).unwrap();
}
