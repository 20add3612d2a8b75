//! What comes of a peer that does not behave: an error that names the fault and whose it is, a
//! retry where the policy says so, and neither growth nor a busy loop.

use crate::kit::client::{URL, both, get};
use crate::misdeed::Misdeed;
use crate::peer::{Peer, STREAM};
use crate::platform::Platform;
use crate::reader::Reader;
use crate::watched::Watching;
use sansse::client::{ClientConfig, ClientError, CloseReason, ReadyState, RedirectError};
use sansse::http1::{ChunkedError, ResponseError};
use sansse::net::{Connector, Listener};
use sansse::{DecodeError, Fault, Limits, SourceEvent};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

const MAX_LINE: usize = 64 << 10;

/// What comes of it.
enum Outcome {
    /// The attempt is over, by this error, and another is made.
    Retried(ClientError),
    /// A redirect is not followed; those without end are tried again.
    Redirect(RedirectError),
    /// It is the end, by an error like this.
    Ended(fn(&ClientError) -> bool),
    /// The stream goes on, and ends at last, properly.
    GoesOn,
}

/// What is told of it before: the data of messages, and what was dropped.
fn told(misdeed: Misdeed) -> Vec<String> {
    let dropped = |error: DecodeError| format!("dropped: {error}");
    match misdeed {
        Misdeed::LongLine => {
            vec![
                "before".into(),
                dropped(DecodeError::LineTooLong { limit: MAX_LINE }),
                "after".into(),
            ]
        }
        Misdeed::LongEvent => {
            vec![
                "before".into(),
                dropped(DecodeError::EventTooLarge { limit: MAX_LINE }),
                "after".into(),
            ]
        }
        Misdeed::EndlessChunkExtension
        | Misdeed::EndlessTrailers
        | Misdeed::ChunkTooShort
        | Misdeed::ChunkTooLong
        | Misdeed::ChunkSizeOverflow
        | Misdeed::ChunkSizeNonsense
        | Misdeed::ChunkSizeNegative
        | Misdeed::NoLastChunk
        | Misdeed::TooFewBytes
        | Misdeed::TooManyBytes
        | Misdeed::EndInsideCharacter
        | Misdeed::CutInsideCharacter => vec!["before".into()],
        Misdeed::ChunkSizeMax => vec!["before".into(), "after".into()],
        Misdeed::InvalidUtf8 => vec!["before".into(), "\u{fffd}\u{fffd}(".into()],
        Misdeed::NulsInStream => vec!["before".into(), "\0after\0".into()],
        _ => Vec::new(),
    }
}

fn outcome(misdeed: Misdeed, is_default: bool) -> Outcome {
    use Outcome::{Ended, GoesOn, Redirect, Retried};
    // As the HTTP/1.1 machine says it, in the words of its own error.
    let http = |error: ResponseError| Retried(ClientError::Transport(error.into()));
    let chunked = |error| http(ResponseError::Chunked(error));
    match misdeed {
        Misdeed::LongLine
        | Misdeed::LongEvent
        | Misdeed::TooManyBytes
        | Misdeed::EndInsideCharacter
        | Misdeed::InvalidUtf8
        | Misdeed::NulsInStream => GoesOn,
        Misdeed::EndlessHeader | Misdeed::EndlessStatusLine => http(ResponseError::HeadTooLarge),
        Misdeed::EndlessHeaders => http(ResponseError::TooManyHeaders),
        Misdeed::EndlessInterim => http(ResponseError::TooManyInterim),
        Misdeed::EndlessChunkExtension => chunked(ChunkedError::ExtensionsTooLong),
        Misdeed::EndlessTrailers => chunked(ChunkedError::TrailersTooLong),
        Misdeed::EndlessPage => Ended(|error| {
            let ClientError::ContentType(answer) = error else { return false };
            answer.body.len() == 8 << 10 && answer.body.starts_with(b"<!doctype html><p><p>")
        }),
        Misdeed::RedirectLoop if is_default => Redirect(RedirectError::Loop),
        Misdeed::EndlessRedirect | Misdeed::RedirectLoop => Redirect(RedirectError::TooMany),
        Misdeed::RedirectToScheme(_) => Redirect(RedirectError::Scheme),
        Misdeed::RedirectToNonsense => Redirect(RedirectError::Location),
        Misdeed::RedirectWithUser => Redirect(RedirectError::Userinfo),
        Misdeed::RedirectToInsecure => Redirect(RedirectError::Insecure),
        Misdeed::Gzip => Ended(|error| {
            let ClientError::ContentEncoding(answer) = error else { return false };
            answer.headers["content-encoding"] == "gzip"
        }),
        Misdeed::Html => Ended(|error| {
            let ClientError::ContentType(answer) = error else { return false };
            answer.body.starts_with(b"<!doctype html>\n<title>")
        }),
        Misdeed::ChunkTooLong => chunked(ChunkedError::LineEnd),
        Misdeed::ChunkSizeOverflow => chunked(ChunkedError::SizeTooLarge),
        Misdeed::ChunkSizeNonsense | Misdeed::ChunkSizeNegative => chunked(ChunkedError::Size),
        Misdeed::ChunkTooShort
        | Misdeed::ChunkSizeMax
        | Misdeed::NoLastChunk
        | Misdeed::TooFewBytes
        | Misdeed::CutInsideCharacter => http(ResponseError::TruncatedBody),
        Misdeed::LengthOverflow | Misdeed::LengthNegative | Misdeed::TwoLengths => {
            http(ResponseError::ContentLength)
        }
        Misdeed::LengthAndChunked => http(ResponseError::LengthAndCoding),
        Misdeed::GzipTransfer => http(ResponseError::TransferCoding),
        Misdeed::NulInHead => http(ResponseError::HeaderValue),
        Misdeed::Nuls | Misdeed::Ssh => http(ResponseError::NotHttp),
        Misdeed::Nothing => http(ResponseError::NoResponse),
        Misdeed::HalfHead => http(ResponseError::TruncatedHead),
        Misdeed::Http2 => http(ResponseError::Version),
        Misdeed::SwitchingProtocols => http(ResponseError::SwitchingProtocols),
        Misdeed::NoColon => http(ResponseError::HeaderName),
    }
}

pub(crate) async fn bad_input<P: Platform>(platform: P) {
    for misdeed in Misdeed::ALL {
        for mut config in both() {
            config.limits = Limits::DEFAULT.with_max_line(MAX_LINE).with_max_event(MAX_LINE);
            // In a box, since the future is large, and a test's stack is not.
            Box::pin(suffers(&platform, misdeed, config)).await;
        }
    }
}

/// Reads of a peer that misbehaves in its first answer, and is good from then on.
async fn suffers<P: Platform>(platform: &P, misdeed: Misdeed, config: ClientConfig) {
    let is_default = config.policy.redirects.detect_loops;
    let url = match misdeed {
        Misdeed::RedirectToInsecure => "https://example.org/",
        _ => URL,
    };
    let (listener, address) = platform.listen(None);
    let connector = Watching::new(platform.connector(), address);
    let mut reader = Reader::new(connector, get(url), config);
    let is_good = Cell::new(false);
    let mut peer = pin!(misbehave(listener, misdeed, &is_good));
    let mut told_of = Vec::new();
    let end = poll_fn(|context| {
        loop {
            let before = reader.watch.progress();
            assert!(peer.as_mut().poll(context).is_pending());
            while let Poll::Ready(event) = reader.poll(context) {
                match event.expect("something comes of it") {
                    SourceEvent::Message(message) => told_of.push(message.data),
                    SourceEvent::Dropped(error) => told_of.push(format!("dropped: {error}")),
                    SourceEvent::Open { .. } => {}
                    end => return Poll::Ready(end),
                }
            }
            if !reader.is_quiet || reader.watch.progress() == before {
                return Poll::Pending;
            }
        }
    })
    .await;
    assert_eq!(told_of, told(misdeed), "{misdeed:?}");
    let error = match &end {
        SourceEvent::Retrying { error, .. } | SourceEvent::Closed(CloseReason::Failed(error)) => {
            error
        }
        end => panic!("{misdeed:?}: {end:?}"),
    };
    let is_retried = match outcome(misdeed, is_default) {
        Outcome::Retried(expected) => {
            assert_eq!(*error, expected, "{misdeed:?}");
            true
        }
        Outcome::GoesOn => {
            assert_eq!(*error, ClientError::EndOfStream, "{misdeed:?}");
            true
        }
        Outcome::Redirect(expected) => {
            let ClientError::Redirect(by, _) = error else { panic!("{misdeed:?}: {error:?}") };
            assert_eq!(*by, expected, "{misdeed:?}");
            matches!(by, RedirectError::TooMany | RedirectError::Loop)
        }
        Outcome::Ended(is_expected) => {
            assert!(is_expected(error), "{misdeed:?}: {error:?}");
            false
        }
    };
    let fault = match misdeed {
        // Anybody on the way may have closed the connection.
        Misdeed::Nothing => Fault::Transport,
        _ => Fault::Peer,
    };
    assert_eq!(error.fault(), fault, "{misdeed:?}: {error:?}");
    assert_eq!(matches!(end, SourceEvent::Retrying { .. }), is_retried, "{misdeed:?}: {end:?}");

    is_unmoved(misdeed, &reader);
    if !is_retried {
        assert_eq!(reader.source.state(), ReadyState::Closed);
        assert!(reader.timer.sleeps().is_empty());
        let end = poll_fn(|context| reader.poll(context)).await;
        assert_eq!(end, None, "{misdeed:?}");
        return;
    }

    // One attempt, when its time has come.
    let before = reader.watch.count();
    is_good.set(true);
    let mut is_open = false;
    let mut has_slept = false;
    poll_fn(|context| {
        loop {
            assert!(peer.as_mut().poll(context).is_pending());
            match reader.poll(context) {
                Poll::Ready(Some(SourceEvent::Open { .. })) => is_open = true,
                Poll::Ready(Some(SourceEvent::Message(message))) => {
                    assert_eq!((message.data.as_str(), is_open), ("good", true));
                    return Poll::Ready(());
                }
                Poll::Ready(event) => panic!("{misdeed:?}: {event:?}"),
                Poll::Pending if reader.is_quiet && !has_slept => {
                    assert_eq!(reader.watch.count(), before);
                    assert!(!reader.sleep().is_zero());
                    has_slept = true;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
    assert_eq!(reader.watch.count(), before + 1, "{misdeed:?}");
    // What was bad has not counted.
    let id = if misdeed == Misdeed::NulsInStream { "1" } else { "" };
    assert_eq!(reader.source.last_event_id(), id, "{misdeed:?}");
}

/// The client has let go of it, has read no more than its limits, and asked no more often than there
/// was something.
fn is_unmoved<C: Connector>(misdeed: Misdeed, reader: &Reader<C>) {
    assert_eq!(reader.watch.held(), 0, "{misdeed:?}");
    let read: u64 = (0..reader.watch.count()).map(|number| reader.watch.read(number)).sum();
    let most = match misdeed {
        Misdeed::LongLine | Misdeed::LongEvent => Misdeed::LONG as u64 + 1000,
        _ => 40 << 10,
    };
    assert!(read <= most, "{misdeed:?}: {read} bytes");
    let asked: u64 = (0..reader.watch.count())
        .filter_map(|number| reader.watch.connection(number))
        .map(|connection| connection.asked)
        .sum();
    let polls = reader.polls as u64;
    // Each poll follows a wake: of bytes that came, of room for bytes, of an event that was told.
    assert!(polls <= 4 * asked + 20, "{misdeed:?}: {polls} polls for {asked} reads");
    assert!(reader.timer.begun() <= asked + 25, "{misdeed:?}: {}", reader.timer.begun());
}

async fn misbehave<L: Listener>(listener: L, misdeed: Misdeed, is_good: &Cell<bool>) {
    let mut peer = Peer::new(listener);
    loop {
        let mut exchange = peer.accept().await;
        if !is_good.get() {
            misdeed.commit(exchange).await;
            continue;
        }
        exchange.write(STREAM).await;
        exchange.write("data: good\n\n").await;
        let _ = exchange.gone().await;
    }
}

/// What a peer can make a client hold is bounded, however much it sends.
pub(crate) fn bad_input_takes_little_memory<P: Platform>() {
    for misdeed in Misdeed::ALL {
        let used = allocation_counter::measure(|| {
            P::run(P::seeds().start, |platform| async move {
                let mut config = ClientConfig::new(1);
                config.limits = Limits::DEFAULT.with_max_line(MAX_LINE).with_max_event(MAX_LINE);
                // In a box, since the future is large, and a test's stack is not.
                Box::pin(suffers(&platform, misdeed, config)).await;
            });
        });
        // Both ends, their runtime, and what a line and an event may have.
        assert!(used.bytes_max < 400 << 10, "{misdeed:?}: {} bytes", used.bytes_max);
    }
}
