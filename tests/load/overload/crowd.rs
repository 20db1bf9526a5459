//! Many plain sockets of one thread: each is written to and read from whenever the kernel takes
//! and gives something, whatever protocol that is.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What each socket of a crowd sends.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Once, in front.
    pub(crate) first: Vec<u8>,
    /// Over and over behind it; nothing if it is empty.
    pub(crate) again: Vec<u8>,
}

/// See the module.
pub(crate) struct Crowd {
    script: Script,
    members: Vec<Member>,
    buffer: Vec<u8>,
    /// Whether what comes is read.
    pub(crate) reads: bool,
}

struct Member {
    stream: TcpStream,
    /// Bytes of the script that were written, counted through all repetitions.
    at: usize,
    has_ended: bool,
    /// The last bytes that came, for a look at how it was told to go.
    tail: Vec<u8>,
}

/// Bytes at the end of what came that are kept.
const TAIL_BYTES: usize = 200;

impl Crowd {
    /// Connects them, one after the other.
    pub(crate) fn connect(address: SocketAddr, count: usize, script: Script) -> Self {
        let connect = |_| {
            let stream = TcpStream::connect(address).expect("the kernel takes connects");
            stream.set_nonblocking(true).expect("any socket may be");
            Member { stream, at: 0, has_ended: false, tail: Vec::new() }
        };
        let members = (0..count).map(connect).collect();
        Self { script, members, buffer: vec![0; 256 << 10], reads: true }
    }

    /// Serves all once; whether any of them got on.
    pub(crate) fn round(&mut self) -> bool {
        let (script, buffer, reads) = (&self.script, &mut self.buffer, self.reads);
        let live = self.members.iter_mut().filter(|member| !member.has_ended);
        live.fold(false, |is_on, member| {
            let has_written = member.write(script);
            let has_read = reads && member.read(buffer);
            is_on | has_written | has_read
        })
    }

    /// Serves all for so long.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.rest_unless_on();
        }
    }

    /// Serves all until something holds, or so long; whether it holds.
    pub(crate) fn run_until(
        &mut self,
        time: Duration,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> bool {
        let until = Instant::now() + time;
        while !holds(self) {
            if Instant::now() >= until {
                return false;
            }
            self.rest_unless_on();
        }
        true
    }

    fn rest_unless_on(&mut self) {
        if !self.round() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// How many have written their first bytes.
    pub(crate) fn written(&self) -> usize {
        self.members.iter().filter(|member| member.at >= self.script.first.len()).count()
    }

    /// How many were closed by the server.
    pub(crate) fn ended(&self) -> usize {
        self.members.iter().filter(|member| member.has_ended).count()
    }

    /// How many were closed behind bytes like these.
    pub(crate) fn ended_behind(&self, bytes: &[u8]) -> usize {
        let has = |member: &&Member| member.tail.windows(bytes.len()).any(|part| part == bytes);
        self.members.iter().filter(|member| member.has_ended).filter(has).count()
    }
}

impl Member {
    fn write(&mut self, script: &Script) -> bool {
        let first = script.first.len();
        let rest = match self.at.checked_sub(first) {
            None => &script.first[self.at..],
            Some(_) if script.again.is_empty() => return false,
            Some(behind) => &script.again[behind % script.again.len()..],
        };
        match self.stream.write(rest) {
            Ok(count) => {
                self.at += count;
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            // What the server said before is still to be read.
            Err(_) => {
                self.has_ended = !self.read(&mut [0; 4096]);
                true
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> bool {
        match self.stream.read(buffer) {
            Ok(0) => self.has_ended = true,
            Ok(count) => {
                self.tail.extend_from_slice(&buffer[count.saturating_sub(TAIL_BYTES)..count]);
                let excess = self.tail.len().saturating_sub(TAIL_BYTES);
                self.tail.drain(..excess);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => self.has_ended = true,
        }
        true
    }
}
