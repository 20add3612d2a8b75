//! Peers that are no engine: each is a typed error, in time, and costs no memory.

use bytes::Bytes;
use sansse::broker::Epoch;
use sansse::cluster::{Hello, Log, LogError, LogErrorKind, NodeId};
use sansse_redis::{RedisLog, RedisLogConfig, RedisLogConfigError};
use sansse_tokio::{TokioConnector, TokioRuntime};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const HELLO: Hello = Hello { node: NodeId(1), epoch: Epoch(2), seen: 0 };

/// What a peer does once it has a connection and the first request.
async fn answered<F>(behave: impl Fn(TcpStream, Vec<u8>) -> F + Send + 'static) -> LogError
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 65536];
            let length = stream.read(&mut request).await.unwrap();
            request.truncate(length);
            tokio::spawn(behave(stream, request));
        }
    });
    let url = format!("redis://app:secret@127.0.0.1:{port}/1");
    let time = Duration::from_millis(1500);
    let config = RedisLogConfig::from_url(&url).unwrap().with_connect_time(time);
    let log = RedisLog::new("realm", config, TokioConnector, TokioRuntime).unwrap();
    let error = log.hello(HELLO).await.unwrap_err();
    assert!(!format!("{error:?} {error} {log:?}").contains("secret"), "{error}");
    peer.abort();
    error
}

async fn kind_after(bytes: &'static [u8]) -> LogErrorKind {
    let say = move |mut stream: TcpStream, _| async move {
        stream.write_all(bytes).await.unwrap();
        // It stays, so that the end is not what is noticed.
        let _ = stream.read(&mut [0]).await;
    };
    answered(say).await.kind()
}

#[tokio::test]
async fn peers_of_other_protocols_make_no_sense() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"220 mail.example ESMTP\r\n",
        b"\0",
        b"*1\r\n*1\r\n*1\r\n?",
        b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
    ] {
        assert_eq!(kind_after(bytes).await, LogErrorKind::Malformed, "{bytes:?}");
    }
}

#[tokio::test]
async fn one_who_repeats_everything_makes_no_sense_and_gives_no_password_away() {
    let echo = |mut stream: TcpStream, request: Vec<u8>| async move {
        let _ = stream.write_all(&request).await;
        let _ = stream.read(&mut [0]).await;
    };
    assert_eq!(answered(echo).await.kind(), LogErrorKind::Malformed);
}

#[tokio::test]
async fn one_who_repeats_a_password_in_an_error_and_leaves_gives_it_to_nobody() {
    let say = |mut stream: TcpStream, _| async move {
        let said = b"-ERR unknown command 'AUTH', with args beginning with: 'app' 'secret'\r\n";
        let _ = stream.write_all(said).await;
    };
    assert_eq!(answered(say).await.kind(), LogErrorKind::Unsupported);
}

#[tokio::test]
async fn one_who_says_nothing_is_unreachable_in_time() {
    let began = Instant::now();
    assert_eq!(kind_after(b"").await, LogErrorKind::Unreachable);
    assert!(began.elapsed() >= Duration::from_millis(1500));
    let began = Instant::now();
    assert_eq!(kind_after(b"+OK\r\n$20\r\nand then").await, LogErrorKind::Unreachable);
    assert!(began.elapsed() >= Duration::from_millis(1500));
}

#[tokio::test]
async fn one_who_leaves_and_one_who_is_not_there_are_unreachable() {
    assert_eq!(answered(|_, _| async {}).await.kind(), LogErrorKind::Unreachable);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = RedisLogConfig::from_url(&format!("redis://127.0.0.1:{port}")).unwrap();
    let log = RedisLog::new("realm", config, TokioConnector, TokioRuntime).unwrap();
    assert_eq!(log.hello(HELLO).await.unwrap_err().kind(), LogErrorKind::Unreachable);
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let flood = |mut stream: TcpStream, _| async move {
        let some = Bytes::from(vec![b'x'; 65536]);
        let _ = stream.write_all(b"+OK\r\n$500000000\r\n").await;
        while stream.write_all(&some).await.is_ok() {}
    };
    assert_eq!(answered(flood).await.kind(), LogErrorKind::Malformed);
}

#[tokio::test]
async fn an_older_redis_is_unsupported_and_says_its_version() {
    let old = |mut stream: TcpStream, _| async move {
        let about = "# Server\r\nredis_version:6.0.16\r\nredis_mode:standalone\r\nrun_id:ab\r\n";
        let replication = "# Replication\r\nrole:master\r\n";
        let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
        let all = format!(
            "+OK\r\n+OK\r\n+OK\r\n{}{}{}",
            bulk(about),
            bulk(replication),
            bulk("0123456789abcdef0123456789abcdef01234567")
        );
        let _ = stream.write_all(all.as_bytes()).await;
        let _ = stream.read(&mut [0]).await;
    };
    let error = answered(old).await;
    assert_eq!(error.kind(), LogErrorKind::Unsupported);
    assert!(error.detail().contains("6.0.16"), "{error}");
}

#[test]
fn names_that_no_realm_can_have_are_refused() {
    let log = |realm: &str| {
        let config = RedisLogConfig::from_url("redis://a").unwrap();
        RedisLog::new(realm, config, TokioConnector, TokioRuntime).map(drop)
    };
    for name in ["", "{", "a}b", "{a}", "a\n", &"a".repeat(257)] {
        assert_eq!(log(name), Err(RedisLogConfigError::Realm), "{name:?}");
    }
    for name in ["a", "with space", "tenant/7", "größe", &"a".repeat(256)] {
        assert_eq!(log(name), Ok(()), "{name:?}");
    }
}
