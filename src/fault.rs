//! Whose fault it is when something does not go as it should.

/// Whose fault an error is, or the end of a connection. It tells what to do without knowing all
/// variants of all errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Nobody's: it ended as connections end.
    Nobody,
    /// The peer's: it broke the protocol, was too slow, ended the stream, answered with something
    /// else, or asked for what it may not have. Over HTTP the last is 403, or 400.
    Peer,
    /// The caller's: the program at this side did what it was told not to do, or asked for or set
    /// what cannot be.
    Caller,
    /// That of what lies between the two: names, networks, time.
    Transport,
    /// A limit's: there is as much of something as there may be. It may be otherwise later.
    Limit,
    /// The state's: the broker, or what it is asked about, is closed, ended or not known.
    State,
}
