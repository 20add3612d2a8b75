//! TLS sessions over a network in memory, where each byte can be counted.

mod common;

use common::memory::{
    MemoryConnector, MemoryListener, MemorySocket, accept, flush, pipe, read, read_to_end, secure,
    secure_to, shut_down, write,
};
use common::{Authority, PATIENCE, Running, next_data, next_open, quick};
use http::Request;
use sansse::broker::{Audience, BrokerConfig, BrokerEvent, EndReason, Epoch, SessionConfig};
use sansse::feed::Http1;
use sansse::hub::HubBuilder;
use sansse::net::{FailureKind, Socket};
use sansse::serve::Server;
use sansse::{Event, EventSource};
use sansse_tls::rustls::crypto::{CipherSuiteCommon, CryptoProvider, ring};
use sansse_tls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use sansse_tls::rustls::{SupportedCipherSuite, Tls13CipherSuite};
use sansse_tls::{Tls, TlsListener, TlsSocket};
use sansse_tokio::TokioRuntime;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::timeout;

type Secured = TlsSocket<MemorySocket>;

/// Both ends of a secured connection.
async fn secured(step: usize, capacity: usize) -> (Secured, Secured) {
    let authority = Authority::new();
    secured_as(authority.client(), authority.server(), step, capacity).await
}

async fn secured_as(
    client: ClientConfig,
    server: ServerConfig,
    step: usize,
    capacity: usize,
) -> (Secured, Secured) {
    let (near, far) = pipe(step, capacity);
    let mut server = accept(far, server).await;
    let serving = tokio::spawn(async move {
        // The handshake is a part of reading.
        assert_eq!(read(&mut server, 1).await.unwrap(), b"!");
        server
    });
    let mut client = timeout(PATIENCE, secure(near, client)).await.unwrap().unwrap();
    write(&mut client, b"!").await.unwrap();
    timeout(PATIENCE, flush(&mut client)).await.unwrap().unwrap();
    let server = timeout(PATIENCE, serving).await.unwrap().unwrap();
    (client, server)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|number| u8::try_from(number % 251).unwrap()).collect()
}

#[tokio::test]
async fn any_split_of_the_records_carries_the_same_bytes_both_ways() {
    for (step, capacity) in [(1, 1), (1, 10_000), (2, 3), (5, 5), (1000, 1000), (1 << 20, 1 << 20)]
    {
        let (mut client, mut server) = secured(step, capacity).await;
        let sent = pattern(if step < 10 { 20_000 } else { 500_000 });
        let expected = sent.clone();
        let echo = tokio::spawn(async move {
            let (all, end) = read_to_end(&mut server).await;
            end.unwrap();
            write(&mut server, &all).await.unwrap();
            shut_down(&mut server).await.unwrap();
            // Again and again does no harm.
            shut_down(&mut server).await.unwrap();
        });
        write(&mut client, &sent).await.unwrap();
        // Reading goes on after it.
        shut_down(&mut client).await.unwrap();
        let (all, end) = timeout(PATIENCE, read_to_end(&mut client)).await.unwrap();
        assert_eq!(end, Ok(()), "step {step}");
        assert!(all == expected, "step {step}");
        echo.await.unwrap();
    }
}

#[tokio::test]
async fn what_was_written_arrives_while_its_task_waits_for_something_to_read() {
    let (mut client, mut server) = secured(7, 100).await;
    let sent = pattern(64 << 10);
    let expected = sent.clone();
    let writer = tokio::spawn(async move {
        let mut rest = &sent[..];
        poll_fn(|context| {
            while !rest.is_empty() {
                match client.poll_write(context, rest) {
                    Poll::Ready(written) => rest = &rest[written.unwrap()..],
                    Poll::Pending => break,
                }
            }
            // Nothing comes: as with a stream whose peer only listens.
            client.poll_read(context, &mut [0; 1]).map(|_| ())
        })
        .await;
    });
    let mut received = Vec::new();
    while received.len() < expected.len() {
        let bytes = timeout(PATIENCE, read(&mut server, 4096)).await.expect("it arrives").unwrap();
        received.extend(bytes);
    }
    assert!(received == expected);
    writer.abort();
}

#[tokio::test]
async fn flush_is_ready_when_all_has_left_and_not_before() {
    let (mut client, mut server) = secured(1 << 20, 1000).await;
    let bytes = pattern(10_000);
    write(&mut client, &bytes).await.unwrap();
    let is_ready = poll_fn(|context| Poll::Ready(client.poll_flush(context).is_ready())).await;
    assert!(!is_ready, "the network holds 1000 bytes");
    let reading = tokio::spawn(async move {
        let mut received = 0;
        while received < 10_000 {
            received += read(&mut server, 4096).await.unwrap().len();
        }
    });
    timeout(PATIENCE, flush(&mut client)).await.unwrap().unwrap();
    timeout(PATIENCE, reading).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_felt_after_one_write() {
    let (mut client, _server) = secured(1 << 20, 1000).await;
    let bytes = vec![0; 1 << 20];
    let taken = poll_fn(|context| {
        let mut taken = 0;
        while let Poll::Ready(written) = client.poll_write(context, &bytes) {
            taken += written.unwrap();
        }
        Poll::Ready(taken)
    })
    .await;
    assert_eq!(taken, 64 << 10);
}

#[tokio::test]
async fn a_connection_cut_off_after_data_is_truncated_and_an_end_is_an_end() {
    for is_proper in [true, false] {
        let (mut client, mut server) = secured(3, 10_000).await;
        write(&mut server, b"data").await.unwrap();
        flush(&mut server).await.unwrap();
        if is_proper {
            shut_down(&mut server).await.unwrap();
        }
        drop(server);
        let (all, end) = timeout(PATIENCE, read_to_end(&mut client)).await.unwrap();
        assert_eq!(all, b"data");
        if is_proper {
            assert_eq!(end, Ok(()));
        } else {
            let failure = end.unwrap_err();
            assert_eq!(failure.kind(), FailureKind::Truncated);
            assert!(failure.detail().contains("close_notify"), "{failure}");
            // For good.
            assert_eq!(read(&mut client, 10).await, Err(failure));
        }
    }
}

#[tokio::test]
async fn a_connection_cut_off_before_any_data_is_closed() {
    let (mut client, server) = secured(100, 10_000).await;
    drop(server);
    let failure = timeout(PATIENCE, read(&mut client, 10)).await.unwrap().unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Closed);
}

#[tokio::test]
async fn a_client_that_goes_away_says_so() {
    let (mut client, mut server) = secured(100, 10_000).await;
    write(&mut client, b"bye").await.unwrap();
    drop(client);
    assert_eq!(read_to_end(&mut server).await, (b"bye".to_vec(), Ok(())));
}

#[tokio::test]
async fn nothing_is_written_after_the_shutdown() {
    let (mut client, _server) = secured(100, 10_000).await;
    shut_down(&mut client).await.unwrap();
    let failure = write(&mut client, b"late").await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Closed);
}

#[tokio::test]
async fn a_host_with_its_final_dot_is_the_one_that_the_certificate_names() {
    let authority = Authority::new();
    let (near, far) = pipe(1 << 20, 1 << 20);
    let mut server = accept(far, authority.server()).await;
    let serving = tokio::spawn(async move { read(&mut server, 1).await });
    let mut client = secure_to("https://localhost./", near, authority.client()).await.unwrap();
    shut_down(&mut client).await.unwrap();
    assert_eq!(serving.await.unwrap(), Ok(Vec::new()));
}

#[tokio::test]
async fn a_server_may_write_first() {
    let authority = Authority::new();
    let (near, far) = pipe(1, 100);
    let mut server = accept(far, authority.server()).await;
    let serving = tokio::spawn(async move {
        write(&mut server, b"hello").await.unwrap();
        shut_down(&mut server).await.unwrap();
        server
    });
    let mut client = timeout(PATIENCE, secure(near, authority.client())).await.unwrap().unwrap();
    let (all, end) = timeout(PATIENCE, read_to_end(&mut client)).await.unwrap();
    assert_eq!((&all[..], end), (&b"hello"[..], Ok(())));
    serving.await.unwrap();
}

#[tokio::test]
async fn a_connection_closed_in_the_handshake_is_a_failure_of_tls() {
    // Before the first byte, and in the middle of what the server has to say.
    for bytes in [0, 20] {
        let (near, mut far) = pipe(1 << 20, 1 << 20);
        let peer = tokio::spawn(async move {
            assert!(!read(&mut far, 4096).await.unwrap().is_empty());
            write(
                &mut far,
                &[0x16, 3, 3, 1, 0, 2, 0, 0, 90, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1][..bytes],
            )
            .await
            .unwrap();
        });
        let failure =
            timeout(PATIENCE, secure(near, Authority::new().client())).await.unwrap().unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Tls);
        assert!(failure.detail().contains("closed the connection in the handshake"), "{failure}");
        peer.await.unwrap();
    }
}

#[tokio::test]
async fn bytes_that_are_no_tls_fail_on_either_side_and_the_peer_is_told() {
    let (near, mut far) = pipe(1 << 20, 1 << 20);
    write(&mut far, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let failure = secure(near, Authority::new().client()).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::NotTls);
    assert!(failure.detail().contains("begin with http"), "{failure}");

    let (mut near, far) = pipe(1 << 20, 1 << 20);
    let mut server = accept(far, Authority::new().server()).await;
    write(&mut near, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let failure = read(&mut server, 100).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Closed);
    assert_eq!(write(&mut server, b"x").await, Err(failure));
    // An alert, and a fatal one.
    let alert = read(&mut near, 100).await.unwrap();
    assert_eq!((alert[0], alert[5]), (0x15, 2), "{alert:?}");
}

#[tokio::test]
async fn a_record_that_was_tampered_with_is_a_failure_and_not_data() {
    let authority = Authority::new();
    let (near, mut way_near) = pipe(1 << 20, 1 << 20);
    let (mut way_far, far) = pipe(1 << 20, 1 << 20);
    let mut server = accept(far, authority.server()).await;
    let serving = tokio::spawn(async move {
        assert_eq!(read(&mut server, 1).await.unwrap(), b"!");
        write(&mut server, b"the truth").await.unwrap();
        server
    });
    // Carries everything, and flips a bit once the server has said what it has to say.
    let relay = tokio::spawn(async move {
        let mut buffer = [0; 4096];
        let mut is_asked = false;
        poll_fn(|context| {
            loop {
                let mut moved = false;
                if let Poll::Ready(Ok(length @ 1..)) = way_near.poll_read(context, &mut buffer) {
                    // The record of one byte, which ends in its type and a tag.
                    is_asked |= length >= 23
                        && buffer[length - 23..].starts_with(&[0x17, 3, 3, 0, 1 + 1 + 16]);
                    let _ = way_far.poll_write(context, &buffer[..length]);
                    moved = true;
                }
                if let Poll::Ready(Ok(length @ 1..)) = way_far.poll_read(context, &mut buffer) {
                    if is_asked {
                        buffer[length - 1] ^= 1;
                    }
                    let _ = way_near.poll_write(context, &buffer[..length]);
                    moved = true;
                }
                if !moved {
                    return Poll::<()>::Pending;
                }
            }
        })
        .await;
    });
    let mut client = secure(near, authority.client()).await.unwrap();
    write(&mut client, b"!").await.unwrap();
    let failure = timeout(PATIENCE, read(&mut client, 100)).await.unwrap().unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Closed);
    assert!(failure.detail().contains("decrypt"), "{failure}");
    drop(serving.await.unwrap());
    relay.abort();
}

/// Whose keys are used up after ten records.
fn frugal_provider() -> CryptoProvider {
    let SupportedCipherSuite::Tls13(suite) = ring::cipher_suite::TLS13_AES_128_GCM_SHA256 else {
        panic!("it is of TLS 1.3");
    };
    let suite = Tls13CipherSuite {
        common: CipherSuiteCommon { confidentiality_limit: 10, ..suite.common },
        ..*suite
    };
    let suite = SupportedCipherSuite::Tls13(Box::leak(Box::new(suite)));
    CryptoProvider { cipher_suites: vec![suite], ..ring::default_provider() }
}

#[tokio::test]
async fn keys_that_are_used_up_are_changed_and_writing_goes_on() {
    let authority = Authority::new();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone().into()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(frugal_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (mut client, mut server) = secured_as(client, authority.server(), 50, 10_000).await;
    let writer = tokio::spawn(async move {
        for number in 0..100_u8 {
            write(&mut client, &[number]).await.unwrap();
        }
        shut_down(&mut client).await.unwrap();
        client
    });
    let (all, end) = timeout(PATIENCE, read_to_end(&mut server)).await.unwrap();
    assert_eq!(end, Ok(()));
    assert_eq!(all, (0..100).collect::<Vec<u8>>());
    drop(writer.await.unwrap());
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_closed_as_stalled() {
    let authority = Authority::new();
    let (near, far) = pipe(1 << 20, 16 << 10);
    let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let mut config = BrokerConfig::new(Epoch(0xbeef));
    config.session.stall_timeout = Some(Duration::from_millis(300));
    let hub = HubBuilder::new(config).on_event(move |_, event| {
        if let BrokerEvent::SessionEnded { reason, .. } = event {
            let _ = ended.send(reason);
        }
    });
    let hub = sansse_tokio::spawn_hub(hub).unwrap();
    let listener = TlsListener::new(MemoryListener(Some(far)), authority.server());
    let streams = hub.clone();
    let handler = move |request: Request<bytes::Bytes>| {
        std::future::ready(streams.accept(&request, SessionConfig::new()))
    };
    let server = Server::new(TokioRuntime, hub.clone());
    let serving = tokio::spawn(server.serve(listener, std::future::pending(), handler));
    let mut client = secure(near, authority.client()).await.unwrap();
    write(&mut client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    flush(&mut client).await.unwrap();
    assert!(read(&mut client, 4096).await.unwrap().starts_with(b"HTTP/1.1 200"));
    let publish = async {
        loop {
            hub.publish(Audience::Everyone, &Event::new("x".repeat(10_000))).unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = publish => {}
        reason = timeout(PATIENCE, ends.recv()) => {
            assert_eq!(reason.expect("it ends"), Some(EndReason::Stalled));
        }
    }
    // What it reads then breaks off.
    let (_, end) = read_to_end(&mut client).await;
    assert_eq!(end.unwrap_err().kind(), FailureKind::Truncated);
    serving.abort();
}

#[tokio::test]
async fn large_events_reach_a_slow_reader_whole_over_a_narrow_network() {
    let authority = Authority::new();
    let (near, far) = pipe(1000, 4096);
    let listener = TlsListener::new(MemoryListener(Some(far)), authority.server());
    let address = ([127, 0, 0, 1], 1).into();
    let server = Running::start_on(listener, address, |server| server);
    let connector = Tls::new(MemoryConnector::new(near), authority.client());
    let request = Request::get("https://localhost/events").body(bytes::Bytes::new()).unwrap();
    let mut source = EventSource::new(Http1::new(connector), TokioRuntime, request, quick());
    next_open(&mut source).await;
    for letter in ["a", "b", "c"] {
        server.say(letter.repeat(1 << 20));
    }
    for letter in ["a", "b", "c"] {
        assert!(next_data(&mut source).await == letter.repeat(1 << 20));
    }
}
