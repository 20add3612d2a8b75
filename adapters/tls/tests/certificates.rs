//! Who is trusted, and who is not.

mod common;

use common::foreign::{End, Foreign};
use common::{Authority, HERE, Running, next_data, next_failure, next_open, source};
use sansse::SourceEvent;
use sansse::client::{ClientError, CloseReason, ReadyState};
use sansse::net::FailureKind;
use sansse_tls::rustls::pki_types::pem::PemObject;
use sansse_tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sansse_tls::rustls::server::WebPkiClientVerifier;
use sansse_tls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use sansse_tls::{Roots, TlsConfigError, server_config};
use std::sync::Arc;

/// What a client finds that trusts `authority` and asks at this URL's host.
async fn refused(server: &Running, host: &str, client: ClientConfig, kind: FailureKind) -> String {
    let url = format!("https://{host}:{}/events", server.address.port());
    let mut source = source(&url, client);
    let failure = next_failure(&mut source).await;
    assert_eq!(failure.kind(), kind);
    let is_over = source.state() == ReadyState::Closed;
    assert_eq!(is_over, kind == FailureKind::Certificate, "{failure}");
    // Nothing of the request has left.
    assert_eq!(server.counters.snapshot().requests, 0);
    failure.detail().to_owned()
}

#[tokio::test]
async fn a_root_of_ones_own_is_trusted_in_pem_and_in_der_for_a_name_and_for_addresses() {
    let authority = Authority::new();
    let other = Authority::new();
    let in_pem = format!("{}\nand some text\n{}", other.pem, authority.pem);
    for roots in [
        Roots::none().with_pem(in_pem.as_bytes()).unwrap(),
        Roots::none().with_der(&authority.der).unwrap(),
    ] {
        for (bind, host) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("127.0.0.1:0", "localhost"),
            ("127.0.0.1:0", "LOCALHOST"),
            ("[::1]:0", "[::1]"),
        ] {
            let server = Running::start_at(bind, authority.server(), |server| server).await;
            let url = format!("https://{host}:{}/events", server.address.port());
            let mut source = source(&url, roots.clone().client_config());
            next_open(&mut source).await;
            server.say("hello");
            assert_eq!(next_data(&mut source).await, "hello");
        }
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let server = Running::start(Authority::new().server()).await;
    for roots in [Authority::new().roots(), Roots::none()] {
        let client = roots.client_config();
        let detail = refused(&server, "localhost", client, FailureKind::Certificate).await;
        assert!(detail.starts_with("unknown issuer: "), "{detail}");
    }
}

#[cfg(feature = "bundled-roots")]
#[tokio::test]
async fn the_bundled_roots_trust_others() {
    let server = Running::start(Authority::new().server()).await;
    let client = Roots::bundled().client_config();
    let detail = refused(&server, "localhost", client, FailureKind::Certificate).await;
    assert!(detail.starts_with("unknown issuer: "), "{detail}");
    let bundled = format!("{:?}", Roots::bundled());
    assert!(bundled.contains("roots)") && !bundled.contains("(0 roots)"), "{bundled}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_and_its_renewal_is_waited_for() {
    let authority = Authority::new();
    let (chain, key) = authority.issue_expired(HERE);
    let config = server_config(chain.as_bytes(), key.as_bytes()).unwrap();
    let server = Running::start(config).await;
    let detail = refused(&server, "localhost", authority.client(), FailureKind::Tls).await;
    assert!(detail.contains("expired ") && detail.contains(" days ago"), "{detail}");
}

#[tokio::test]
async fn a_certificate_of_another_name_or_address_is_refused() {
    let authority = Authority::new();
    let (chain, key) = authority.issue(&["example.org", "127.0.0.2"]);
    let config = server_config(chain.as_bytes(), key.as_bytes()).unwrap();
    let server = Running::start(config).await;
    for host in ["localhost", "127.0.0.1"] {
        let detail = refused(&server, host, authority.client(), FailureKind::Certificate).await;
        let expected = format!("wrong name: it is for example.org, 127.0.0.2, and not for {host}");
        assert_eq!(detail, expected);
    }
}

#[tokio::test]
async fn the_client_offers_http_1_1_alone_whatever_a_configuration_says_and_names_the_host() {
    let authority = Authority::new();
    let mut server = authority.server();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let foreign = Foreign::start(server, "HTTP/1.1 204 No Content\r\n\r\n", End::Proper).await;
    let mut client = authority.client();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let mut source = source(&foreign.url(), client);
    common::next(&mut source).await;
    let seen = foreign.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].alpn.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(seen[0].name.as_deref(), Some("localhost"));
}

#[tokio::test]
async fn a_server_that_speaks_only_http_2_is_refused_in_the_handshake() {
    let authority = Authority::new();
    let mut server = authority.server();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let foreign = Foreign::start(server, "", End::Proper).await;
    let failure = next_failure(&mut source(&foreign.url(), authority.client())).await;
    assert_eq!(failure.kind(), FailureKind::Unsupported);
    assert!(failure.detail().contains("no_application_protocol"), "{failure}");
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A server that asks for a certificate of `authority`.
fn asking(authority: &Authority) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone().into()).unwrap();
    let (chain, key) = authority.issue(HERE);
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap()
}

#[tokio::test]
async fn a_configuration_of_ones_own_brings_a_client_certificate_and_without_it_the_server_refuses()
{
    let authority = Authority::new();
    let server = Running::start(asking(&authority)).await;
    let url = format!("https://localhost:{}/events", server.address.port());

    let failure = next_failure(&mut source(&url, authority.client())).await;
    // The request may have been sent by the time the refusal comes.
    assert_eq!(failure.kind(), FailureKind::Closed);
    assert!(failure.detail().contains("CertificateRequired"), "{failure}");

    let (chain, key) = authority.issue(&["a client"]);
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone().into()).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    next_open(&mut source(&url, config)).await;
}

#[tokio::test]
async fn a_host_that_no_certificate_can_name_ends_the_client() {
    let mut source = source("https://-a-.example..org/events", Authority::new().client());
    let event = common::next(&mut source).await;
    let SourceEvent::Closed(CloseReason::Failed(ClientError::Transport(failure))) = &event else {
        panic!("{event:?}");
    };
    assert_eq!(failure.kind(), FailureKind::Unsupported);
    assert_eq!(source.next().await, None);
}

#[test]
fn what_is_no_root_is_a_typed_error() {
    let authority = Authority::new();
    let (_, key) = authority.issue(HERE);
    let error = |pem: &str| Roots::none().with_pem(pem.as_bytes()).unwrap_err();
    assert_eq!(error(""), TlsConfigError::NoCertificate);
    assert_eq!(error(&key), TlsConfigError::NoCertificate);
    let cut = &authority.pem[..authority.pem.len() / 2];
    assert!(matches!(error(cut), TlsConfigError::Pem(_)), "{:?}", error(cut));
    let broken =
        format!("{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", authority.pem);
    assert!(matches!(error(&broken), TlsConfigError::Certificate { index: 1, .. }));
    let der = Roots::none().with_der(b"no certificate").unwrap_err();
    assert!(matches!(der, TlsConfigError::Certificate { index: 0, .. }), "{der}");
}

#[test]
fn what_a_server_cannot_show_is_a_typed_error() {
    let authority = Authority::new();
    let (chain, key) = authority.issue(HERE);
    let (_, other) = authority.issue(HERE);
    let error =
        |chain: &str, key: &str| server_config(chain.as_bytes(), key.as_bytes()).unwrap_err();
    assert_eq!(error("", &key), TlsConfigError::NoCertificate);
    assert_eq!(error(&chain, ""), TlsConfigError::NoKey);
    assert_eq!(error(&chain, &chain), TlsConfigError::NoKey);
    assert!(matches!(error(&chain, &key[..key.len() / 2]), TlsConfigError::Pem(_)));
    assert!(matches!(error(&chain, &other), TlsConfigError::Identity(_)));
}
