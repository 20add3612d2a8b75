//! What a peer can do wrong, each on purpose.

use crate::peer::{CHUNKED, Exchange, STREAM};
use sansse::net::Socket;

/// A fault of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misdeed {
    /// A line of the stream goes on and on; at last it ends, and an event follows.
    LongLine,
    /// An event has line after line; at last it ends, and another follows.
    LongEvent,
    /// A header that has no end.
    EndlessHeader,
    /// Headers without end.
    EndlessHeaders,
    /// Answers that are none yet, without end.
    EndlessInterim,
    /// A status line that has no end.
    EndlessStatusLine,
    /// The extension of a chunk has no end.
    EndlessChunkExtension,
    /// After the last chunk come fields without end.
    EndlessTrailers,
    /// A page has no end.
    EndlessPage,
    /// Each URL redirects to a further one.
    EndlessRedirect,
    /// Each URL redirects to itself.
    RedirectLoop,
    /// A redirect to a scheme that is not for streams.
    RedirectToScheme(&'static str),
    /// A redirect to a URL that is none.
    RedirectToNonsense,
    /// A redirect that holds a password.
    RedirectWithUser,
    /// A redirect from `https` to `http`; it does so only for who asks by `https`.
    RedirectToInsecure,
    /// A body that is compressed, which nobody asked for.
    Gzip,
    /// A page in place of a stream.
    Html,
    /// A chunk has more bytes than its size says.
    ChunkTooLong,
    /// A chunk has fewer bytes than its size says, and then the connection ends.
    ChunkTooShort,
    /// A chunk size that fits no number.
    ChunkSizeOverflow,
    /// The largest chunk size that there is.
    ChunkSizeMax,
    /// A chunk size that is no number.
    ChunkSizeNonsense,
    /// A chunk size that is less than nothing.
    ChunkSizeNegative,
    /// The connection ends before the last chunk.
    NoLastChunk,
    /// The body has fewer bytes than announced.
    TooFewBytes,
    /// The body has more bytes than announced.
    TooManyBytes,
    /// A length that fits no number.
    LengthOverflow,
    /// A length that is less than nothing.
    LengthNegative,
    /// Two lengths that differ.
    TwoLengths,
    /// A length and the chunked coding.
    LengthAndChunked,
    /// A transfer coding that nobody asked for.
    GzipTransfer,
    /// The stream, which the end of the connection ends, ends inside a character.
    EndInsideCharacter,
    /// The stream is cut off inside a character.
    CutInsideCharacter,
    /// Bytes that are no UTF-8.
    InvalidUtf8,
    /// NULs in an event, and in its id.
    NulsInStream,
    /// A NUL in the head.
    NulInHead,
    /// Nothing but NULs.
    Nuls,
    /// No answer at all.
    Nothing,
    /// The head ends in the middle.
    HalfHead,
    /// Another protocol.
    Ssh,
    /// Another version of this protocol.
    Http2,
    /// A change of the protocol, which nobody asked for.
    SwitchingProtocols,
    /// A header that has no colon.
    NoColon,
}

impl Misdeed {
    pub(crate) const ALL: [Self; 46] = [
        Self::LongLine,
        Self::LongEvent,
        Self::EndlessHeader,
        Self::EndlessHeaders,
        Self::EndlessInterim,
        Self::EndlessStatusLine,
        Self::EndlessChunkExtension,
        Self::EndlessTrailers,
        Self::EndlessPage,
        Self::EndlessRedirect,
        Self::RedirectLoop,
        Self::RedirectToScheme("ftp"),
        Self::RedirectToScheme("file"),
        Self::RedirectToScheme("ws"),
        Self::RedirectToScheme("javascript"),
        Self::RedirectToNonsense,
        Self::RedirectWithUser,
        Self::RedirectToInsecure,
        Self::Gzip,
        Self::Html,
        Self::ChunkTooLong,
        Self::ChunkTooShort,
        Self::ChunkSizeOverflow,
        Self::ChunkSizeMax,
        Self::ChunkSizeNonsense,
        Self::ChunkSizeNegative,
        Self::NoLastChunk,
        Self::TooFewBytes,
        Self::TooManyBytes,
        Self::LengthOverflow,
        Self::LengthNegative,
        Self::TwoLengths,
        Self::LengthAndChunked,
        Self::GzipTransfer,
        Self::EndInsideCharacter,
        Self::CutInsideCharacter,
        Self::InvalidUtf8,
        Self::NulsInStream,
        Self::NulInHead,
        Self::Nuls,
        Self::Nothing,
        Self::HalfHead,
        Self::Ssh,
        Self::Http2,
        Self::SwitchingProtocols,
        Self::NoColon,
    ];

    /// How much is sent of what is too long but ends.
    pub(crate) const LONG: usize = 1 << 20;

    /// Does it, and ends the connection.
    pub(crate) async fn commit<S: Socket>(self, mut exchange: Exchange<S>) {
        match self {
            Self::LongLine => {
                exchange.write(STREAM).await;
                exchange.write("data: before\n\ndata: ").await;
                for _ in 0..Self::LONG / 4096 {
                    exchange.write([b'x'; 4096]).await;
                }
                exchange.write("\n\ndata: after\n\n").await;
            }
            Self::LongEvent => {
                exchange.write(STREAM).await;
                exchange.write("data: before\n\n").await;
                for _ in 0..Self::LONG / 2500 {
                    exchange.write("data: twenty-five bytes.\n".repeat(100)).await;
                }
                exchange.write("\ndata: after\n\n").await;
            }
            Self::EndlessHeader => endless(&mut exchange, "HTTP/1.1 200 OK\r\nx: ", "x").await,
            Self::EndlessHeaders => {
                endless(&mut exchange, "HTTP/1.1 200 OK\r\n", "x: y\r\n").await;
            }
            Self::EndlessInterim => {
                endless(&mut exchange, "", "HTTP/1.1 103 Early Hints\r\n\r\n").await;
            }
            Self::EndlessStatusLine => endless(&mut exchange, "HTTP/1.1 200 ", "x").await,
            Self::EndlessChunkExtension => {
                exchange.write(CHUNKED).await;
                exchange.chunk("data: before\n\n").await;
                endless(&mut exchange, "5;", "x").await;
            }
            Self::EndlessTrailers => {
                exchange.write(CHUNKED).await;
                exchange.chunk("data: before\n\n").await;
                endless(&mut exchange, "0\r\n", "x: y\r\n").await;
            }
            Self::EndlessPage => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<!doctype html>";
                endless(&mut exchange, head, "<p>").await;
            }
            Self::EndlessRedirect => {
                let path = exchange.request.uri().path();
                let number: u32 = path.trim_start_matches('/').parse().unwrap_or(0);
                redirect(&mut exchange, &format!("/{}", number + 1)).await;
            }
            Self::RedirectLoop => {
                let url = exchange.request.uri().to_string();
                redirect(&mut exchange, &url).await;
            }
            Self::RedirectToScheme(scheme) => {
                redirect(&mut exchange, &format!("{scheme}://example.org/events")).await;
            }
            Self::RedirectToNonsense => redirect(&mut exchange, "http://[").await,
            Self::RedirectWithUser => redirect(&mut exchange, "http://a:b@example.org/").await,
            Self::RedirectToInsecure => redirect(&mut exchange, "http://example.org/").await,
            _ => {
                exchange.write(self.bytes()).await;
            }
        }
        exchange.end().await;
    }

    /// All that the peer says, where that is not much.
    fn bytes(self) -> Vec<u8> {
        let event = "data: before\n\n";
        let length = |length: &str, body: &str| {
            let head = STREAM.replace("\r\n\r\n", &format!("\r\ncontent-length: {length}\r\n\r\n"));
            format!("{head}{body}")
        };
        let chunked = |chunks: &str| format!("{CHUNKED}e\r\n{event}\r\n{chunks}");
        let with_field = |field: &str| STREAM.replace("\r\n\r\n", &format!("\r\n{field}\r\n\r\n"));
        let text = match self {
            Self::Gzip => with_field("content-encoding: gzip") + "\u{1f}\u{8b}",
            Self::Html => "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\n\r\n\
                <!doctype html>\n<title>Not here</title>\n\ndata: never\n\n"
                .to_owned(),
            Self::ChunkTooLong => chunked("4\r\ndata: never\n\n\r\n0\r\n\r\n"),
            Self::ChunkTooShort => chunked("ff\r\ndata: never"),
            Self::ChunkSizeOverflow => chunked("10000000000000000e\r\ndata: never\n\n\r\n"),
            Self::ChunkSizeMax => chunked("ffffffffffffffff\r\ndata: after\n\n"),
            Self::ChunkSizeNonsense => chunked("0xe\r\ndata: never\n\n\r\n"),
            Self::ChunkSizeNegative => chunked("-e\r\ndata: never\n\n\r\n"),
            Self::NoLastChunk => chunked(""),
            Self::TooFewBytes => length("100", event),
            Self::TooManyBytes => length("14", &format!("{event}data: never\n\n")),
            Self::LengthOverflow => length("99999999999999999999", "data: never\n\n"),
            Self::LengthNegative => length("-14", "data: never\n\n"),
            Self::TwoLengths => {
                with_field("content-length: 13\r\ncontent-length: 14") + "data: never\n\n"
            }
            Self::LengthAndChunked => {
                CHUNKED.replace("\r\n\r\n", "\r\ncontent-length: 14\r\n\r\n")
                    + "d\r\ndata: never\n\n\r\n"
            }
            Self::GzipTransfer => {
                with_field("transfer-encoding: gzip, chunked") + "d\r\ndata: never\n\n\r\n"
            }
            Self::EndInsideCharacter => {
                return [STREAM.as_bytes(), event.as_bytes(), b"data: never \xe2\x82"].concat();
            }
            Self::CutInsideCharacter => {
                let before = chunked("ff\r\ndata: never ");
                return [before.as_bytes(), b"\xe2\x82"].concat();
            }
            Self::InvalidUtf8 => {
                let before = format!("{STREAM}{event}data: ");
                return [before.as_bytes(), b"\xff\xe2\x82(\n\n"].concat();
            }
            Self::NulsInStream => {
                format!("{STREAM}id: 1\n{event}id: a\0b\ndata: \0after\0\n\0: x\n\n")
            }
            Self::NulInHead => with_field("x: a\0b") + "data: never\n\n",
            Self::Nuls => "\0".repeat(100),
            Self::Nothing => String::new(),
            Self::HalfHead => "HTTP/1.1 200 OK\r\ncontent-ty".to_owned(),
            Self::Ssh => "SSH-2.0-OpenSSH_9.9\r\n".to_owned(),
            Self::Http2 => "HTTP/2.0 200 OK\r\n\r\n".to_owned(),
            Self::SwitchingProtocols => {
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n".to_owned()
            }
            Self::NoColon => with_field("no colon") + "data: never\n\n",
            _ => unreachable!("it is more than a few bytes: {self:?}"),
        };
        text.into_bytes()
    }
}

/// Says something again and again, for as long as anybody listens.
async fn endless<S: Socket>(exchange: &mut Exchange<S>, beginning: &str, again: &str) {
    let again = again.repeat(4096_usize.div_ceil(again.len()));
    let mut goes_on = exchange.write(beginning).await;
    while goes_on {
        goes_on = exchange.write(&again).await;
    }
}

async fn redirect<S: Socket>(exchange: &mut Exchange<S>, location: &str) {
    let head = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    exchange.write(head).await;
}
