//! A client of the simulation: it talks as the seed says and checks all that it gets.

use std::collections::BTreeMap;

use throng::driver::sim::{Client as Link, Rng};
use throng::wire::mask::unmask;

use crate::deflate::{deflate, inflate};
use crate::message::{self, BINARY, TEXT};
use crate::policies::Reading;
use crate::script::{self, Actor};

/// What some say to a script is so long that little of it is kept for who is parked.
const LONG: usize = 30_000;

/// In the first byte of a frame: what it begins is deflated.
const RSV1: u8 = 0x40;

/// What a client does beside talking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Reads what comes and stays.
    Polite,
    /// Stops reading for good after a while.
    Deaf,
    /// Breaks the connection after a while.
    Resets,
    /// Sends a close frame after a while.
    Leaves,
    /// Sends a FIN without a close frame after a while.
    Vanishes,
    /// Breaks the protocol after a while.
    Breaks,
}

/// The rooms.
pub(crate) const ROOMS: [u32; 2] = [0, 1];

/// What it offers, and in the answer of the server.
const EXTENSION: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u32,
    pub(crate) room: Option<u32>,
    pub(crate) manner: Manner,
    /// It offers permessage-deflate, which the server takes.
    deflates: bool,
    link: Link,
    rng: Rng,
    /// Bytes that are written bit by bit.
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    pub(crate) is_open: bool,
    /// It said or did its last.
    pub(crate) is_done: bool,
    pub(crate) close_code: Option<u16>,
    /// Messages gather in rooms before they are delivered.
    pub(crate) is_batched: bool,
    /// It was told that it reads too slowly.
    pub(crate) was_too_slow: bool,
    /// Messages that were handed to the network whole.
    pub(crate) sent: u32,
    /// Messages that it began, so that they may have been published.
    pub(crate) queued: u32,
    pub(crate) to_send: u32,
    patience: u32,
    /// The next number expected of each sender, and the first that came.
    pub(crate) heard: BTreeMap<u32, (u32, u32)>,
    pings: u32,
    pongs: u32,
    /// For each ping, the messages before it.
    before_pings: Vec<u32>,
    /// Bytes of each message.
    lengths: Vec<usize>,
    /// What looks at what comes, of one that speaks the script.
    pub(crate) actor: Option<Actor>,
    /// Deliveries and the replies behind them change places, by a fault.
    swaps: bool,
    pub(crate) reading: Reading,
}

impl Client {
    pub(crate) fn new(
        id: u32,
        link: Link,
        mut rng: Rng,
        actor: Option<Actor>,
        swaps: bool,
    ) -> Self {
        let manner = match rng.below(12) {
            0 => Manner::Deaf,
            1 => Manner::Resets,
            2 => Manner::Leaves,
            3 => Manner::Vanishes,
            4 => Manner::Breaks,
            _ => Manner::Polite,
        };
        let is_in_room = actor.is_none() && !rng.one_in(5);
        let room = is_in_room.then(|| ROOMS[rng.below(ROOMS.len())]);
        let deflates = rng.one_in(3);
        let path = match (room, &actor) {
            (Some(room), _) => format!("/room/{room}"),
            (None, Some(_)) => format!("{}{id}", script::PATH),
            (None, None) => "/echo".to_owned(),
        };
        let offer = if deflates { EXTENSION } else { "" };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {offer}\r\n"
        );
        Self {
            id,
            room,
            manner,
            deflates,
            link,
            outgoing: request.into_bytes(),
            incoming: Vec::new(),
            is_open: false,
            is_done: false,
            close_code: None,
            is_batched: false,
            was_too_slow: false,
            sent: 0,
            queued: 0,
            to_send: 1 + rng.below(40) as u32,
            patience: 20 + rng.below(200) as u32,
            heard: BTreeMap::new(),
            pings: 0,
            pongs: 0,
            before_pings: Vec::new(),
            lengths: Vec::new(),
            actor,
            swaps,
            rng,
            reading: Reading::default(),
        }
    }

    /// One action; whether anything moved.
    pub(crate) fn act(&mut self) -> Result<bool, String> {
        if self.is_done && !matches!(self.manner, Manner::Leaves | Manner::Breaks) {
            return self.listen();
        }
        self.patience = self.patience.saturating_sub(1);
        let stays = matches!(self.manner, Manner::Polite | Manner::Deaf);
        if self.patience == 0 && self.is_open && !self.is_done && !stays {
            self.misbehave();
            return Ok(true);
        }
        let mut moved = self.write_some();
        moved |= self.listen()?;
        if self.is_open && self.outgoing.is_empty() && self.queued < self.to_send && !self.is_done {
            self.queue_message();
            moved = true;
        }
        Ok(moved)
    }

    /// Reads all that has come and writes all it has to write, as one that is never late.
    pub(crate) fn catch_up(&mut self) -> Result<(), String> {
        self.listen()?;
        self.link.write(&std::mem::take(&mut self.outgoing));
        self.sent = self.queued;
        Ok(())
    }

    /// Whether it means to stay, and may.
    pub(crate) fn is_polite(&self) -> bool {
        self.manner == Manner::Polite && !self.actor.as_ref().is_some_and(Actor::is_closed)
    }

    /// Whether it is there and is to be told all.
    pub(crate) fn is_here(&self) -> bool {
        self.is_polite() && self.is_open && !self.is_ended()
    }

    /// Whether all that it has sent is heard: of those who broke off the last words may be lost;
    /// who does not read is not read either.
    pub(crate) fn is_heard_to_the_end(&self) -> bool {
        let was_cut = self.is_ended() && (self.close_code.is_none() || self.was_too_slow);
        matches!(self.manner, Manner::Polite | Manner::Leaves) && !was_cut
    }

    /// Whether the server ended the connection.
    pub(crate) fn is_ended(&self) -> bool {
        self.link.is_ended()
    }

    /// Everything it wanted to say was handed to the network.
    pub(crate) fn has_said_all(&self) -> bool {
        self.outgoing.is_empty() && self.queued == self.to_send
    }

    fn misbehave(&mut self) {
        self.is_done = true;
        match self.manner {
            Manner::Polite | Manner::Deaf => {}
            Manner::Resets => self.link.reset(),
            Manner::Leaves => {
                let close = self.frame(0x88, &[0x03, 0xe8]);
                self.outgoing.extend(close);
            }
            Manner::Vanishes => self.link.finish(),
            Manner::Breaks => self.outgoing.extend([0xff; 20]),
        }
    }

    fn write_some(&mut self) -> bool {
        if self.outgoing.is_empty() {
            return false;
        }
        let count = 1 + self.rng.below(self.outgoing.len());
        let bytes: Vec<u8> = self.outgoing.drain(..count).collect();
        self.link.write(&bytes);
        if self.outgoing.is_empty() {
            self.sent = self.queued;
        }
        true
    }

    fn queue_message(&mut self) {
        let several = 1 + self.rng.below(3);
        for _ in 0..several.min((self.to_send - self.queued) as usize) {
            let is_long = self.actor.is_some() && self.rng.one_in(12);
            let longest = if is_long { LONG } else { [10, 200, 2000][self.rng.below(3)] };
            let payload = message::make(self.id, self.queued, self.rng.below(longest));
            if let Some(actor) = &self.actor {
                actor.invent(self.queued, &mut self.rng);
            }
            self.queued += 1;
            self.lengths.push(payload.len());
            self.queue_frames(&payload);
        }
    }

    /// A message in one frame or several, with a ping between them now and then.
    fn queue_frames(&mut self, payload: &[u8]) {
        let mut opcode = message::kind(self.id) & 0x0f;
        let packed = (self.deflates && self.rng.one_in(2)).then(|| deflate(payload));
        opcode |= packed.as_ref().map_or(0, |_| RSV1);
        let mut rest = packed.as_deref().unwrap_or(payload);
        loop {
            let cut = if self.rng.one_in(3) { self.rng.below(rest.len() + 1) } else { rest.len() };
            let (part, behind) = rest.split_at(cut);
            let fin = if behind.is_empty() { 0x80 } else { 0 };
            let frame = self.frame(fin | opcode, part);
            self.outgoing.extend(frame);
            if self.rng.one_in(6) {
                let ping = self.frame(0x89, &self.pings.to_be_bytes());
                self.outgoing.extend(ping);
                self.pings += 1;
                self.before_pings.push(self.queued - u32::from(!behind.is_empty()));
            }
            if behind.is_empty() {
                return;
            }
            (rest, opcode) = (behind, 0);
        }
    }

    fn frame(&mut self, first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            n @ 0..=125 => frame.push(0x80 | n as u8),
            n => {
                frame.push(0x80 | 126);
                frame.extend((n as u16).to_be_bytes());
            }
        }
        let key = (self.rng.next_u64() as u32).to_be_bytes();
        frame.extend(key);
        let start = frame.len();
        frame.extend(payload);
        unmask(&mut frame[start..], key, 0);
        frame
    }

    fn listen(&mut self) -> Result<bool, String> {
        let is_asleep = self.reading.is_asleep && self.is_open;
        if self.manner == Manner::Deaf && self.patience == 0 || is_asleep {
            return Ok(false);
        }
        let came = self.link.read();
        self.incoming.extend(&came);
        if !self.is_open {
            let Some(end) = self.incoming.windows(4).position(|four| four == b"\r\n\r\n") else {
                return Ok(!came.is_empty());
            };
            if !self.incoming.starts_with(b"HTTP/1.1 101 ") {
                return Err(format!("client {} was refused", self.id));
            }
            let head = String::from_utf8_lossy(&self.incoming[..end]);
            if head.contains(EXTENSION.trim_end()) != self.deflates {
                return Err(format!("client {}: {head}", self.id));
            }
            self.incoming.drain(..end + 4);
            self.is_open = true;
        }
        let mut frames = Vec::new();
        while let Some(frame) = self.take_frame()? {
            frames.push(frame);
        }
        if self.swaps {
            swap_replies(&mut frames);
        }
        if self.room.is_some() {
            self.reading.spoil(&mut frames);
        }
        for (first, payload) in frames {
            self.check(first, &payload)?;
        }
        Ok(!came.is_empty())
    }

    fn take_frame(&mut self) -> Result<Option<(u8, Vec<u8>)>, String> {
        let [first, second, rest @ ..] = &self.incoming[..] else { return Ok(None) };
        let (length, head) = match second {
            126 if rest.len() < 2 => return Ok(None),
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), 4),
            n @ 0..=125 => (usize::from(*n), 2),
            _ => return Err(format!("client {}: no frame is that long or masked", self.id)),
        };
        if self.incoming.len() < head + length {
            return Ok(None);
        }
        let first = *first;
        let frame: Vec<u8> = self.incoming.drain(..head + length).collect();
        Ok(Some((first, frame[head..].to_vec())))
    }

    fn check(&mut self, first: u8, payload: &[u8]) -> Result<(), String> {
        if self.close_code.is_some() {
            return Err(format!("client {}: a frame behind the close frame", self.id));
        }
        match first {
            TEXT | BINARY => self.check_message(first, payload),
            _ if self.deflates && matches!(first ^ RSV1, TEXT | BINARY) => {
                let whole = inflate(payload);
                let whole = whole.ok_or_else(|| format!("client {}: bad deflate", self.id))?;
                self.check_message(first ^ RSV1, &whole)
            }
            0x89 => {
                if self.manner != Manner::Vanishes && !self.is_done {
                    let pong = self.frame(0x8a, payload);
                    self.outgoing.extend(pong);
                }
                Ok(())
            }
            0x8a => self.check_pong(payload),
            0x88 => self.answer_close(payload),
            _ => Err(format!("client {}: frame {first:02x} {payload:?}", self.id)),
        }
    }

    /// A pong may stand for those of earlier pings too (RFC 6455, 5.5.3).
    fn check_pong(&mut self, payload: &[u8]) -> Result<(), String> {
        let number = payload.first_chunk().map(|number| u32::from_be_bytes(*number));
        match number.filter(|number| (self.pongs..self.pings).contains(number)) {
            Some(number) => {
                self.pongs = number + 1;
                self.check_before_pong(self.before_pings[number as usize])
            }
            None => Err(format!("client {}: a pong of {payload:?}", self.id)),
        }
    }

    /// A pong comes behind what the messages before the ping have brought to their sender, but
    /// where they gather.
    fn check_before_pong(&self, messages: u32) -> Result<(), String> {
        let heard = self.heard.get(&self.id).map_or(0, |(next, _)| *next);
        let gathers = self.room.is_some() && self.is_batched;
        let may_miss = gathers || self.reading.may_miss_its_own();
        if self.actor.is_none() && !may_miss && heard < messages {
            return Err(format!("client {}: a pong before {heard} of {messages}", self.id));
        }
        Ok(())
    }

    /// Bytes of the messages behind so many.
    pub(crate) fn bytes_behind(&self, messages: u32) -> usize {
        self.lengths[messages as usize..].iter().sum()
    }

    /// Whether the last of its pings was answered.
    pub(crate) fn has_all_pongs(&self) -> bool {
        self.pongs == self.pings
    }

    fn answer_close(&mut self, payload: &[u8]) -> Result<(), String> {
        let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        self.close_code = Some(code.ok_or("a close frame without a code")?);
        self.was_too_slow = payload[2..].starts_with(b"slow consumer");
        // What waited for a slow one was thrown away.
        if let Some(actor) = self.actor.as_ref().filter(|_| !self.was_too_slow) {
            actor.check_close()?;
        }
        if !self.is_done {
            let close = self.frame(0x88, payload);
            // What was being written must end first, or the close frame would stand inside it.
            self.outgoing.extend(close);
            self.to_send = self.queued;
        }
        Ok(())
    }

    fn check_message(&mut self, first: u8, payload: &[u8]) -> Result<(), String> {
        if let Some(actor) = &mut self.actor {
            self.reading.got += u64::from(actor.check(payload)?);
            return Ok(());
        }
        let Some((sender, number)) = message::parse(first, payload) else {
            return Err(format!("client {}: damage in {first:02x} {payload:?}", self.id));
        };
        if self.room.is_none() && sender != self.id {
            return Err(format!("client {}: an echo of {sender}", self.id));
        }
        let (next, _) = self.heard.entry(sender).or_insert((number, number));
        if !self.reading.follows(*next, number) {
            return Err(format!(
                "client {}: {sender}/{number} out of order, {next} was next",
                self.id
            ));
        }
        *next = number + 1;
        if self.room.is_some() {
            self.reading.got += 1;
            self.reading.last = Some((sender, number));
        }
        Ok(())
    }
}

/// Lets each reply and each pong overtake a delivery before it.
fn swap_replies(frames: &mut [(u8, Vec<u8>)]) {
    let is_reply =
        |(first, payload): &(u8, Vec<u8>)| *first == 0x8a || payload.starts_with(b"left");
    for at in 1..frames.len() {
        if is_reply(&frames[at]) && frames[at - 1].0 & 0x0f <= 2 && !is_reply(&frames[at - 1]) {
            frames.swap(at - 1, at);
        }
    }
}
