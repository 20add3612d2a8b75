//! How much of a message head is read before it is refused, for either side.

/// The limits of one message head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadLimits {
    /// Bytes, from the first of the start line to the last line end.
    pub(super) size: usize,
    /// Header lines.
    pub(super) headers: usize,
}

impl HeadLimits {
    /// Most heads take less than 1 KiB; cookies take some to 8 KiB, where many
    /// servers and proxies draw the line, and a long `Last-Event-ID` fits
    /// beside them. Browsers send about 20 lines.
    pub(super) const DEFAULT: Self = Self { size: 16 * 1024, headers: 100 };
}
