//! Connections that are given up when their peers take nothing: by the system, of its own accord.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

/// Has the system give up each connection of this listener whose peer takes nothing for a time
/// although bytes wait for it; `None`: as long as the system does that by itself, which for a peer that
/// is there may be for ever. Returns whether the system knows such a time. Linux and Android do; on
/// others nothing happens.
///
/// [`serve_streams`](crate::ServeStreams::serve_streams) does this for connections of plain TCP, where
/// its time takes the place of the listener's. Those with TLS around them inherit it from their listener:
///
/// ```
/// use std::net::TcpListener;
/// use std::time::Duration;
///
/// # fn example() -> std::io::Result<()> {
/// let listener = TcpListener::bind("0.0.0.0:443")?;
/// sansse_actix::set_write_deadline(&listener, Some(Duration::from_secs(60)))?;
/// // HttpServer::new(..).serve_streams(&hub).listen_rustls_0_23(listener, config)?
/// # Ok(()) }
/// ```
///
/// # Why the system
///
/// A response's body is not polled while its peer takes nothing. So the body cannot tell actix-web
/// that the hub has given the peer up, and actix-web has no time of its own for that:
/// `client_disconnect_timeout` begins once the response is over, and `keep_alive` after it. An
/// `HttpServer` makes the sockets that it serves itself, so that nothing can go around them. What it
/// hands out is a reference to each new connection, and that is where this is set: `TCP_USER_TIMEOUT`.
///
/// # Errors
///
/// Those of the system.
pub fn set_write_deadline(listener: &TcpListener, time: Option<Duration>) -> io::Result<bool> {
    set(listener, time)
}

#[cfg(any(target_os = "android", target_os = "linux"))]
pub(crate) fn set(socket: &impl std::os::fd::AsFd, time: Option<Duration>) -> io::Result<bool> {
    let time = time.map(sansse_common::unacknowledged_time);
    socket2::SockRef::from(socket).set_tcp_user_timeout(time)?;
    Ok(true)
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
pub(crate) fn set<S>(_: &S, _: Option<Duration>) -> io::Result<bool> {
    Ok(false)
}
