//! Whose fault it is when something does not go as it should.

/// Whose fault an error is, or the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Nobody's: it ended as connections end.
    Nobody,
    /// The peer's: it broke the protocol or a limit, was too slow, ended the stream, or answered
    /// with something else.
    Peer,
    /// The caller's: the program at this side did what it was told not to do, or set what cannot
    /// be.
    Caller,
    /// That of what lies between the two: names, networks, time.
    Transport,
}
