//! Engines that are there and do not do as they are asked.

use crate::client::info;
use crate::engine::{Engine, Kind};
use crate::node::{Node, Witness, payloads};
use crate::{ALL, PATIENCE};
use sansse::cluster::{Log, LogError, LogErrorKind};
use std::time::{Duration, Instant};
use tokio::time::sleep;

on_each_engine! {
    a_wrong_password_is_denied_and_not_repeated
    a_user_with_few_rights_is_enough
    a_realm_that_a_user_may_not_use_is_denied
    a_full_engine_refuses_appends_and_still_lets_read
    an_engine_that_cannot_write_its_file_is_full
    too_few_replicas_are_not_ready
    an_engine_that_loads_its_data_is_not_ready
    an_engine_that_runs_a_script_is_not_ready
    a_replica_is_not_ready_and_one_of_several_addresses_is_the_master
    a_master_that_becomes_a_replica_ends_what_is_under_way
    a_key_that_is_something_else_makes_no_sense
    a_stopped_engine_holds_nobody_up_who_drops_the_future
    a_stopped_engine_is_unreachable_after_the_answer_time
}

async fn error_of_hello(url: &str) -> LogError {
    let error = Node::new(1, url, &Witness::default()).hello().await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("secret"), "{error}");
    error
}

async fn a_wrong_password_is_denied_and_not_repeated(kind: Kind) {
    let engine = Engine::start(kind, &["--requirepass", "the secret"]);
    let at = format!("127.0.0.1:{}", engine.port);
    for login in ["", ":wrong secret@", "default:secret@", "ann:the%20secret@"] {
        let error = error_of_hello(&format!("redis://{login}{at}")).await;
        assert_eq!(error.kind(), LogErrorKind::Denied, "{login}");
    }
    for login in [":the%20secret@", "default:the%20secret@"] {
        let url = format!("redis://{login}{at}");
        Node::new(1, &url, &Witness::default()).hello().await.unwrap();
    }
    let open = Engine::start(kind, &[]);
    let error = error_of_hello(&open.url().replace("//", "//:secret@")).await;
    assert_eq!(error.kind(), LogErrorKind::Denied);
}

/// As the README says.
const RIGHTS: &[&str] = &[
    "~{realm}:*",
    "+auth",
    "+select",
    "+client|setname",
    "+info",
    "+asking",
    "+script|load",
    "+eval",
    "+evalsha",
    "+time",
    "+exists",
    "+hmget",
    "+hset",
    "+hdel",
    "+hscan",
    "+xadd",
    "+xrange",
    "+xread",
    "+xinfo|stream",
];

fn let_in(engine: &Engine, rights: &[&str]) -> String {
    let user = ["ACL", "SETUSER", "app", "reset", "on", ">secret"];
    engine.command(&[&user, rights].concat());
    engine.url().replace("//", "//app:secret@")
}

async fn a_user_with_few_rights_is_enough(kind: Kind) {
    let mut engine = Engine::start(kind, &["--appendonly", "yes"]);
    let url = let_in(&engine, RIGHTS);
    let mut node = Node::new(1, &url, &Witness::default());
    node.hello().await.unwrap();
    // So that there is something to forget, and state to find again.
    engine.command(&["HSET", "{realm}:m", "n:old", "1:2:1:5"]);
    node.append(1, "one").await.unwrap();
    engine.command(&["SCRIPT", "FLUSH"]);
    node.append(1, "two").await.unwrap();
    engine.command(&["DEL", "{realm}:m"]);
    node.hello().await.unwrap();
    node.log.head().await.unwrap();
    assert_eq!(payloads(&node.read_all().await), ["cut", "one", "two", "cut"]);
    engine.kill();
}

async fn a_realm_that_a_user_may_not_use_is_denied(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let rights =
        RIGHTS.iter().map(|right| right.strip_prefix("~{realm}").map_or(*right, |_| "~other"));
    let error = error_of_hello(&let_in(&engine, &rights.collect::<Vec<_>>())).await;
    assert_eq!(error.kind(), LogErrorKind::Denied);
    let rights = RIGHTS.iter().copied().filter(|right| *right != "+xadd");
    let error = error_of_hello(&let_in(&engine, &rights.collect::<Vec<_>>())).await;
    assert_eq!(error.kind(), LogErrorKind::Denied);
}

async fn a_full_engine_refuses_appends_and_still_lets_read(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    node.cursor = node.hello().await.unwrap().position;
    node.append(1, "one").await.unwrap();
    engine.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(node.append(1, "two").await.unwrap_err().kind(), LogErrorKind::Full);
    // The connection goes on.
    assert_eq!(node.append_again(1, "two").await.unwrap_err().kind(), LogErrorKind::Full);
    let head = node.hello().await.unwrap();
    assert_eq!(payloads(&node.read_all().await), ["one"]);
    assert_eq!(node.log.head().await.unwrap(), head);
    engine.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(node.append_again(1, "two").await.unwrap().last, head.position + 1);
}

async fn an_engine_that_cannot_write_its_file_is_full(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    node.hello().await.unwrap();
    let mut client = engine.client();
    // It has to save, and has nowhere to.
    client.ask(&["CONFIG", "SET", "save", "3600 1000000"]);
    std::fs::remove_dir_all(engine.directory()).unwrap();
    client.ask(&["BGSAVE"]);
    let began = Instant::now();
    while info(&mut client, "persistence", "rdb_last_bgsave_status") != "err" {
        assert!(began.elapsed() < ALL, "it could save");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(node.append(1, "one").await.unwrap_err().kind(), LogErrorKind::Full);
    node.hello().await.unwrap();
    client.ask(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]);
    node.append_again(1, "one").await.unwrap();
}

async fn too_few_replicas_are_not_ready(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    node.hello().await.unwrap();
    // There is somebody to forget, which cannot be done now.
    engine.command(&["HSET", "{realm}:m", "n:old", "1:2:1:5"]);
    engine.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    assert_eq!(node.append(1, "one").await.unwrap_err().kind(), LogErrorKind::NotReady);
    node.hello().await.unwrap();
    assert_eq!(payloads(&node.read_all().await), ["cut"]);
}

async fn an_engine_that_loads_its_data_is_not_ready(kind: Kind) {
    let mut engine = Engine::start(kind, &["--dbfilename", "data.rdb", "--rdbcompression", "no"]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    node.hello().await.unwrap();
    node.append(1, "one").await.unwrap();
    let mut client = engine.client();
    for number in 0..200 {
        client.ask(&["SET", &number.to_string(), &"x".repeat(50_000)]);
    }
    client.ask(&["SAVE"]);
    engine.kill();
    // Each key takes 20 ms, and it looks at its sockets after each 2 MB.
    engine.start_loading(&["--key-load-delay", "20000"]);
    assert_eq!(node.hello().await.unwrap_err().kind(), LogErrorKind::NotReady);
    node.hello_at_last().await;
    assert_eq!(payloads(&node.read_all().await), ["cut", "one", "cut"]);
}

async fn an_engine_that_runs_a_script_is_not_ready(kind: Kind) {
    let engine = Engine::start(kind, &["--lua-time-limit", "50"]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    node.hello().await.unwrap();
    let mut busy = engine.client();
    let script = std::thread::spawn(move || busy.try_ask(&["EVAL", "while true do end", "0"]));
    let began = Instant::now();
    let mut client = engine.client();
    while !client.try_ask(&["PING"]).unwrap().is_error() {
        assert!(began.elapsed() < ALL, "the script is over");
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(node.append(1, "one").await.unwrap_err().kind(), LogErrorKind::NotReady);
    assert_eq!(node.hello().await.unwrap_err().kind(), LogErrorKind::NotReady);
    client.ask(&["SCRIPT", "KILL"]);
    assert!(script.join().unwrap().unwrap().is_error());
    node.hello_at_last().await;
    node.append_again(1, "one").await.unwrap();
}

async fn a_replica_is_not_ready_and_one_of_several_addresses_is_the_master(kind: Kind) {
    let (one, two) = (Engine::start(kind, &[]), Engine::start(kind, &[]));
    one.command(&["REPLICAOF", "127.0.0.1", &two.port.to_string()]);
    assert_eq!(error_of_hello(&one.url()).await.kind(), LogErrorKind::NotReady);
    let url = format!("{},127.0.0.1:{}", one.url(), two.port);
    let mut node = Node::new(1, &url, &Witness::default());
    node.hello().await.unwrap();
    node.append(1, "one").await.unwrap();
    // They change places.
    two.command(&["REPLICAOF", "127.0.0.1", &one.port.to_string()]);
    one.command(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(node.append(1, "two").await.unwrap_err().kind(), LogErrorKind::NotReady);
    node.hello_at_last().await;
    node.append_again(1, "two").await.unwrap();
}

async fn a_master_that_becomes_a_replica_ends_what_is_under_way(kind: Kind) {
    let (engine, other) = (Engine::start(kind, &[]), Engine::start(kind, &[]));
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    node.cursor = node.hello().await.unwrap().position;
    let (read, ()) = tokio::join!(node.read(PATIENCE), async {
        engine.until_a_read_waits().await;
        engine.command(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]);
    });
    assert_eq!(read.unwrap_err().kind(), LogErrorKind::NotReady);
    assert_eq!(node.log.head().await.unwrap_err().kind(), LogErrorKind::NotReady);
}

async fn a_key_that_is_something_else_makes_no_sense(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    engine.command(&["SET", "{realm}:l", "x"]);
    assert_eq!(error_of_hello(&engine.url()).await.kind(), LogErrorKind::Malformed);
    engine.command(&["DEL", "{realm}:l"]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    node.hello().await.unwrap();
    engine.command(&["XADD", "{realm}:l", "*", "somebody", "else"]);
    assert_eq!(node.read(Duration::ZERO).await.unwrap_err().kind(), LogErrorKind::Malformed);
}

async fn a_stopped_engine_holds_nobody_up_who_drops_the_future(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    node.cursor = node.hello().await.unwrap().position;
    engine.pause();
    let some = Duration::from_millis(100);
    assert!(tokio::time::timeout(some, node.append(1, "one")).await.is_err());
    assert!(tokio::time::timeout(some, node.log.head()).await.unwrap().is_err());
    assert!(tokio::time::timeout(some, node.read(PATIENCE)).await.is_err());
    assert!(tokio::time::timeout(some, node.hello()).await.is_err());
    engine.go_on();
    node.hello_at_last().await;
    // The engine found the first append in its socket, or not: it is one batch.
    node.append_again(1, "one").await.unwrap();
    assert_eq!(payloads(&node.read_all().await), ["one"]);
}

async fn a_stopped_engine_is_unreachable_after_the_answer_time(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let config = sansse_redis::RedisLogConfig::from_url(&engine.url()).unwrap();
    let short = Duration::from_millis(300);
    let config = config.with_answer_time(short).with_connect_time(short);
    let mut node = Node::with(1, crate::node::log_with(config), &Witness::default());
    node.cursor = node.hello_at_last().await.position;
    engine.pause();
    let began = Instant::now();
    assert_eq!(node.read(short).await.unwrap_err().kind(), LogErrorKind::Unreachable);
    assert!(began.elapsed() >= short * 2);
    assert_eq!(node.append(1, "one").await.unwrap_err().kind(), LogErrorKind::Unreachable);
    assert_eq!(node.hello().await.unwrap_err().kind(), LogErrorKind::Unreachable);
    engine.go_on();
    node.hello_at_last().await;
    node.append_at_last(1, "two").await;
}
