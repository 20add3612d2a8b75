//! A client of the test's own, which blocks.

use crate::ALL;
use bytes::Bytes;
use resp_rs::resp2::{Frame, frame_to_bytes, parse_frame};
use std::io::{Read, Write};
use std::net::TcpStream;

pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    pub(crate) fn open(port: u16) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(ALL)).ok()?;
        Some(Self { stream })
    }

    pub(crate) fn try_ask(&mut self, words: &[&str]) -> Option<Frame> {
        let word = |word: &&str| Frame::BulkString(Some(Bytes::from((*word).to_owned())));
        let command = Frame::Array(Some(words.iter().map(word).collect()));
        self.stream.write_all(&frame_to_bytes(&command)).ok()?;
        let mut bytes = Vec::new();
        loop {
            let mut some = [0; 4096];
            match self.stream.read(&mut some).ok()? {
                0 => return None,
                length => bytes.extend_from_slice(&some[..length]),
            }
            if let Ok((frame, _)) = parse_frame(Bytes::from(bytes.clone())) {
                return Some(frame);
            }
        }
    }

    /// Does one command; an error reply is a failure of the test.
    pub(crate) fn ask(&mut self, words: &[&str]) -> Frame {
        let frame = self.try_ask(words).unwrap_or_else(|| panic!("no answer to {words:?}"));
        assert!(!frame.is_error(), "{words:?}: {frame:?}");
        frame
    }
}

/// What a field of `INFO` says.
pub(crate) fn info(client: &mut Client, section: &str, field: &str) -> String {
    let frame = client.ask(&["INFO", section]);
    let text = frame.as_str().unwrap().to_owned();
    let prefix = format!("{field}:");
    let line = text.lines().find_map(|line| line.strip_prefix(prefix.as_str()));
    line.unwrap_or_default().trim().to_owned()
}
