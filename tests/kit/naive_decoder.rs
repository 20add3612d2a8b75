//! A decoder that is written after the text of the standard, and slow.

use super::decoder::Output;
use sansse::{DecodeError, Limits};

/// The stream interpretation of 9.2.6, on the whole stream at once.
#[derive(Default)]
pub(crate) struct Naive {
    pub(crate) limits: Limits,
    pub(crate) last_event_id: String,
    pub(crate) reconnection_time: Option<u64>,
}

impl Naive {
    pub(crate) fn decode(&mut self, stream: &[u8]) -> Vec<Output> {
        let text = String::from_utf8_lossy(stream).into_owned();
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut lines: Vec<String> = vec![String::new()];
        let mut before = '\0';
        for character in text.chars() {
            match character {
                '\n' if before == '\r' => {}
                '\n' | '\r' => lines.push(String::new()),
                other => lines.last_mut().unwrap().push(other),
            }
            before = character;
        }
        let unfinished = lines.pop().unwrap();

        let mut output = Vec::new();
        let mut dropping = false;
        let mut data = String::new();
        let mut event_type = String::new();
        let mut id = self.last_event_id.clone();
        for line in &lines {
            if dropping {
                dropping = !line.is_empty();
                continue;
            }
            let mut error = None;
            if line.is_empty() {
                self.last_event_id.clone_from(&id);
                if !data.is_empty() {
                    output.push(Output::Message {
                        event_type: match event_type.as_str() {
                            "" => "message".into(),
                            other => other.into(),
                        },
                        data: data.strip_suffix('\n').unwrap().into(),
                        last_event_id: self.last_event_id.clone(),
                    });
                }
                data.clear();
                event_type.clear();
            } else if line.len() > self.limits.max_line() {
                error = Some(DecodeError::LineTooLong { limit: self.limits.max_line() });
            } else {
                let (field, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "" => output.push(Output::Comment(value.into())),
                    "event" => event_type = value.into(),
                    "data" => {
                        data.push_str(value);
                        if data.len() > self.limits.max_event() {
                            error =
                                Some(DecodeError::EventTooLarge { limit: self.limits.max_event() });
                        }
                        data.push('\n');
                    }
                    "id" if !value.contains('\0') => {
                        id = value.into();
                        if id.len() > self.limits.max_id() {
                            error = Some(DecodeError::IdTooLong { limit: self.limits.max_id() });
                        }
                    }
                    "retry" if !value.is_empty() && value.chars().all(|c| c.is_ascii_digit()) => {
                        let time = value.parse().unwrap_or(u64::MAX);
                        self.reconnection_time = Some(time);
                        output.push(Output::Retry(time));
                    }
                    _ => {}
                }
            }
            if let Some(error) = error {
                output.push(Output::Error(error));
                dropping = true;
                data.clear();
                event_type.clear();
                id.clone_from(&self.last_event_id);
            }
        }
        if !dropping && unfinished.len() > self.limits.max_line() {
            output.push(Output::Error(DecodeError::LineTooLong { limit: self.limits.max_line() }));
        }
        output
    }
}
