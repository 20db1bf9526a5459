//! A client of the simulation that only asks for pages, several at once, on one connection.

use throng::driver::sim::{Client as Link, Rng};

/// What it asks for, and the status of the answer.
const PAGES: [(&str, &str); 3] = [("/chat.js", "200"), ("/", "200"), ("/nothing", "404")];

#[derive(Debug)]
pub(crate) struct Visitor {
    link: Link,
    rng: Rng,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    /// Pages whose answers are to come, the next one first.
    asked: Vec<usize>,
    to_ask: usize,
    pub(crate) answers: usize,
}

impl Visitor {
    pub(crate) fn new(link: Link, mut rng: Rng) -> Self {
        let to_ask = 1 + rng.below(20);
        let (outgoing, incoming, asked) = (Vec::new(), Vec::new(), Vec::new());
        Self { link, rng, outgoing, incoming, asked, to_ask, answers: 0 }
    }

    /// One action; whether anything moved.
    pub(crate) fn act(&mut self) -> Result<bool, String> {
        let came = self.link.read();
        self.incoming.extend(&came);
        while self.take_answer()? {}
        if self.outgoing.is_empty() && self.to_ask > 0 {
            let several = 1 + self.rng.below(self.to_ask);
            (0..several).for_each(|_| self.ask());
        }
        let moved = !came.is_empty() || !self.outgoing.is_empty();
        if !self.outgoing.is_empty() && !self.link.is_ended() {
            let count = 1 + self.rng.below(self.outgoing.len());
            let bytes: Vec<u8> = self.outgoing.drain(..count).collect();
            self.link.write(&bytes);
        }
        Ok(moved)
    }

    /// Whether it has the answers to all that it meant to ask.
    pub(crate) fn is_content(&self) -> bool {
        self.to_ask == 0 && self.outgoing.is_empty() && self.asked.is_empty()
    }

    /// Whether the server ended the connection.
    pub(crate) fn is_ended(&self) -> bool {
        self.link.is_ended()
    }

    fn ask(&mut self) {
        let page = self.rng.below(PAGES.len());
        let request = format!("GET {} HTTP/1.1\r\nHost: sim\r\n\r\n", PAGES[page].0);
        self.outgoing.extend(request.as_bytes());
        self.asked.push(page);
        self.to_ask -= 1;
    }

    fn take_answer(&mut self) -> Result<bool, String> {
        let Some(end) = self.incoming.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(false);
        };
        let head = String::from_utf8_lossy(&self.incoming[..end]).into_owned();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.and_then(|digits| digits.parse().ok()).ok_or("no length")?;
        if self.incoming.len() < end + 4 + length {
            return Ok(false);
        }
        self.incoming.drain(..end + 4 + length);
        let page = *self.asked.first().ok_or("an answer that nobody asked for")?;
        self.asked.remove(0);
        if !head.starts_with(&format!("HTTP/1.1 {} ", PAGES[page].1)) {
            return Err(format!("{} is answered with {head}", PAGES[page].0));
        }
        self.answers += 1;
        Ok(true)
    }
}
