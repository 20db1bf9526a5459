//! One hostile connection.

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::answer::{Answer, Listener};
use super::script::{Goes, Pace, Script};

/// How a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It never was one: the kernel or the server's has refused it.
    NotConnected,
    ByServer,
    /// Reset by us, as its script says.
    ByUs,
    /// The server kept it until the run was over.
    RunOver,
}

/// Whether it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    GoesOn,
    Ended(End),
}

/// See the module.
pub(super) struct Peer {
    pub(super) socket: TcpStream,
    pub(super) listener: Listener,
    /// More has come than was read in one turn.
    pub(super) has_more: bool,
    first: Arc<[u8]>,
    /// Bytes sent, of the first piece and of all repetitions.
    at: usize,
    began: Instant,
    upgraded: Option<Instant>,
    pub(super) is_connected: bool,
}

impl Peer {
    pub(super) fn new(socket: TcpStream, first: Arc<[u8]>, now: Instant) -> Self {
        Self {
            socket,
            listener: Listener::default(),
            has_more: false,
            first,
            at: 0,
            began: now,
            upgraded: None,
            is_connected: false,
        }
    }

    /// Sends what is due, `allowance` of a flood at most; gives how much that was.
    pub(super) fn go_on(&mut self, script: &Script, now: Instant, allowance: usize) -> (u64, Flow) {
        if !self.is_connected {
            match self.socket.peer_addr() {
                Ok(_) => self.is_connected = true,
                Err(_) if now - self.began > CONNECT_MAX => {
                    return (0, Flow::Ended(End::NotConnected));
                }
                Err(_) => return self.look_for_error(),
            }
        }
        if self.is_due_to_go(script.goes, now) {
            return (0, Flow::Ended(End::ByUs));
        }
        let most = match script.pace {
            Pace::Fast => self.first.len().saturating_sub(self.at) + allowance,
            Pace::ByteEvery(interval) => self.bytes_due(interval, now),
        };
        self.send(script, most)
    }

    fn look_for_error(&self) -> (u64, Flow) {
        match self.socket.take_error() {
            Ok(None) => (0, Flow::GoesOn),
            _ => (0, Flow::Ended(End::NotConnected)),
        }
    }

    fn is_due_to_go(&mut self, goes: Goes, now: Instant) -> bool {
        let is_upgraded = !matches!(self.listener.answer, Answer::Nothing | Answer::Status(_));
        if is_upgraded && self.upgraded.is_none() {
            self.upgraded = Some(now);
        }
        match (goes, self.upgraded) {
            (Goes::After(time), _) => now - self.began >= time,
            (Goes::AfterUpgrade(time), Some(upgraded)) => now - upgraded >= time,
            (Goes::AfterUpgrade(_), None) => now - self.began >= UPGRADE_MAX,
        }
    }

    fn bytes_due(&self, interval: Duration, now: Instant) -> usize {
        let due = 1 + ((now - self.began).as_nanos() / interval.as_nanos().max(1)) as usize;
        due.saturating_sub(self.at)
    }

    fn send(&mut self, script: &Script, most: usize) -> (u64, Flow) {
        let begin = self.at;
        while self.at - begin < most {
            let rest = self.rest(&script.again);
            let piece = &rest[..rest.len().min(most - (self.at - begin))];
            if piece.is_empty() {
                break;
            }
            match (&self.socket).write(piece) {
                Ok(count) => self.at += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // Why is in what can still be read.
                Err(_) => return ((self.at - begin) as u64, Flow::Ended(End::ByServer)),
            }
            if self.at >= self.first.len() && script.again.is_empty() {
                break;
            }
        }
        ((self.at - begin) as u64, Flow::GoesOn)
    }

    /// What comes next: of the first piece, or of its repetitions.
    fn rest<'a>(&'a self, again: &'a [u8]) -> &'a [u8] {
        match self.at.checked_sub(self.first.len()) {
            None => &self.first[self.at..],
            Some(_) if again.is_empty() => &[],
            Some(behind) => &again[behind % again.len()..],
        }
    }
}

/// How long the kernel may take to connect.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How long an upgrade may take that is waited for.
const UPGRADE_MAX: Duration = Duration::from_secs(10);
