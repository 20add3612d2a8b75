//! The states of an exchange, and what each of them means to what the peer does.

use crate::http1::body::BodyReader;
use crate::http1::head::Search;

/// Where an exchange stands, as far as the response goes; the request may be
/// under way meanwhile.
///
/// ```text
/// Head ──► Body ──► Complete ──► Closed
///   └────────┴──── (an error) ─────▲
/// ```
///
/// | State | Left by | Bytes of the peer | The end of its side |
/// | --- | --- | --- | --- |
/// | `Head` | the blank line of the final head | are a head | is an error |
/// | `Body` | its end | are the body | is its end, if nothing else is; or an error |
/// | `Complete` | the next byte | are an error | closes |
/// | `Closed` | nothing | are discarded | means nothing |
#[derive(Debug)]
pub(super) enum State {
    Head(HeadProgress),
    Body(BodyReader),
    Complete,
    Closed,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadProgress {
    pub(super) search: Search,
    /// How many interim responses came before.
    pub(super) interim: usize,
}
