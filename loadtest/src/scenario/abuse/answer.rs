//! What the server answers to a hostile connection; payloads are passed over.

use crate::wire;

/// A response head that is longer is not looked at.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing yet.
    #[default]
    Nothing,
    /// A response of HTTP with this status, and no upgrade; 0 where it is none of HTTP.
    Status(u16),
    /// The upgrade.
    Upgraded,
    /// A close frame with this code, behind the upgrade.
    Closed(u16),
}

/// Reads what comes.
#[derive(Debug, Default)]
pub(super) struct Listener {
    pub(super) answer: Answer,
    state: State,
    /// What is not complete: of a response head, or of the head of a frame and a close's payload.
    kept: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes of a payload are passed over before the next frame.
    Frames { skip: u64 },
    /// Nothing more is of interest.
    Done,
}

impl Listener {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.state != State::Head {
            return self.frames(bytes);
        }
        self.kept.extend_from_slice(bytes);
        let head = std::mem::take(&mut self.kept);
        match self.read_head(&head) {
            Some(rest) => self.frames(&head[rest..]),
            None if self.state == State::Head => self.kept = head,
            None => {}
        }
    }

    /// Gives where the frames begin, when the upgrade is complete.
    fn read_head(&mut self, head: &[u8]) -> Option<usize> {
        let text = head.get(..12)?;
        let is_http = text.starts_with(b"HTTP/1.");
        let status = std::str::from_utf8(&text[9..]).ok().filter(|_| is_http);
        let status = status.and_then(|status| status.parse().ok());
        let end = memchr::memmem::find(head, b"\r\n\r\n");
        match (status, end) {
            (Some(101), Some(end)) => {
                (self.answer, self.state) = (Answer::Upgraded, State::Frames { skip: 0 });
                Some(end + 4)
            }
            (Some(101), None) if head.len() <= HEAD_BYTES_MAX => None,
            (status, _) => {
                (self.answer, self.state) = (Answer::Status(status.unwrap_or(0)), State::Done);
                None
            }
        }
    }

    fn frames(&mut self, mut bytes: &[u8]) {
        while let State::Frames { skip } = self.state
            && !bytes.is_empty()
        {
            if skip > 0 {
                let passed = skip.min(bytes.len() as u64);
                bytes = &bytes[passed as usize..];
                self.state = State::Frames { skip: skip - passed };
                continue;
            }
            self.kept.push(bytes[0]);
            bytes = &bytes[1..];
            self.look_at_frame();
        }
    }

    fn look_at_frame(&mut self) {
        let head = match wire::read_head(&self.kept) {
            Ok(None) => return,
            Ok(Some(head)) => head,
            Err(_) => return self.state = State::Done,
        };
        if head.opcode != wire::CLOSE {
            self.state = State::Frames { skip: head.payload_bytes as u64 };
            return self.kept.clear();
        }
        let code_bytes = head.payload_bytes.min(2);
        if self.kept.len() == head.head_bytes + code_bytes {
            let code = wire::close_code(&self.kept[head.head_bytes..]);
            (self.answer, self.state) = (Answer::Closed(code), State::Done);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: &[u8], step: usize) -> Answer {
        let mut listener = Listener::default();
        bytes.chunks(step).for_each(|part| listener.feed(part));
        listener.answer
    }

    #[test]
    fn answers_are_found_however_they_come() {
        let upgrade = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n";
        let message = b"\x82\x03abc\x89\x00";
        let close = b"\x88\x05\x03\xf1abc";
        let much = b"\x8a\x00".repeat(HEAD_BYTES_MAX);
        let cases: [(Vec<u8>, Answer); 8] = [
            (b"no answer of HTTP".to_vec(), Answer::Status(0)),
            ([&upgrade[..], &much, close].concat(), Answer::Closed(1009)),
            (b"HTTP/1.1".to_vec(), Answer::Nothing),
            (b"HTTP/1.1 429 Too Many Requests\r\n\r\n".to_vec(), Answer::Status(429)),
            (upgrade.to_vec(), Answer::Upgraded),
            ([&upgrade[..], message].concat(), Answer::Upgraded),
            ([&upgrade[..], message, close].concat(), Answer::Closed(1009)),
            ([&upgrade[..], b"\x88\x00"].concat(), Answer::Closed(1005)),
        ];
        for (bytes, expected) in cases {
            for step in [1, 7, 1000, usize::MAX] {
                assert_eq!(answer(&bytes, step), expected, "{} by {step}", bytes.len());
            }
        }
    }
}
