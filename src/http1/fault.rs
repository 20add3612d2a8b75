//! Whose fault it is when an exchange does not go as it should, for either side.

/// Whose fault the end of a connection, or of an exchange, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ended as connections end.
    Nobody,
    /// The peer broke the protocol or a limit, or was too slow.
    Peer,
    /// The program that drives the machine did what it was told not to do.
    Caller,
}
