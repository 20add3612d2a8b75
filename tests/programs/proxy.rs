//! A TCP proxy that loses connections when told to, and remembers the request heads it saw.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Between a peer and a server. It relays until it is told to cut.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    refusal: Condvar,
}

#[derive(Default)]
struct State {
    refusing: bool,
    stopped: bool,
    sockets: Vec<TcpStream>,
    refused: usize,
    heads: Vec<String>,
}

impl Proxy {
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let proxy = Self { address, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut state = lock(&shared.state);
                if state.stopped {
                    break;
                }
                if state.refusing {
                    state.refused += 1;
                    shared.refusal.notify_all();
                    let _ = client.shutdown(Shutdown::Both);
                    continue;
                }
                let Ok(server) = TcpStream::connect(upstream) else { continue };
                relay(&mut state, &shared, client, server);
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Cuts all connections in both directions and refuses new ones.
    pub(crate) fn cut(&self) {
        let mut state = lock(&self.shared.state);
        state.refusing = true;
        for socket in state.sockets.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Takes connections again.
    pub(crate) fn restore(&self) {
        lock(&self.shared.state).refusing = false;
    }

    /// Waits until it has refused a connection. False when none came in this time.
    pub(crate) fn has_refused(&self, within: Duration) -> bool {
        let state = lock(&self.shared.state);
        let waited =
            self.shared.refusal.wait_timeout_while(state, within, |state| state.refused == 0);
        waited.is_ok_and(|(state, _)| state.refused > 0)
    }

    /// The heads of the requests whose target begins so, in the order of their arrival.
    pub(crate) fn heads(&self, target: &str) -> Vec<String> {
        let begin = format!("GET {target}");
        lock(&self.shared.state)
            .heads
            .iter()
            .filter(|head| head.starts_with(&begin))
            .cloned()
            .collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        lock(&self.shared.state).stopped = true;
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

/// The value of a header field, by its name in lower case.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn relay(state: &mut State, shared: &Arc<Shared>, client: TcpStream, server: TcpStream) {
    let copy = |socket: &TcpStream| socket.try_clone().expect("descriptors are left");
    state.sockets.extend([copy(&client), copy(&server)]);
    let (client_in, server_out) = (copy(&client), copy(&server));
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut head = Vec::new();
        // How much of a body is still to come before the next request of the connection.
        let mut body = 0;
        pump(client_in, server_out, |bytes| {
            head.extend_from_slice(bytes);
            loop {
                let passed = body.min(head.len());
                head.drain(..passed);
                body -= passed;
                let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") else {
                    return;
                };
                let rest = head.split_off(end + 4);
                let text = String::from_utf8_lossy(&head).into_owned();
                body =
                    field(&text, "content-length").map_or(0, |length| length.parse().unwrap_or(0));
                lock(&shared.state).heads.push(text);
                head = rest;
            }
        });
    });
    thread::spawn(move || pump(server, client, |_| {}));
}

/// Copies until either side ends, then ends both.
fn pump(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        see(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
