//! What those outside ask of a worker: whether it lives, what it has, who is connected; and what
//! they have it do.
//!
//! A worker goes through its connections in slices that pay the budget of its turns, so that nobody
//! waits for a list. It never waits for who has asked: the answer goes to a function that must
//! return at once.

mod scan;

pub(crate) use scan::{Scans, go_on};

use std::fmt;

use crate::driver::{HostAddress, Peer};
use crate::id::{ConnId, WorkerId};
use crate::wire::CloseCode;

/// What is asked of one worker.
#[derive(Clone, Debug)]
pub enum Inquiry {
    /// Whether it lives: answered in the turn in which it is read.
    Pulse,
    /// What it holds.
    Totals,
    /// Some of its connections.
    Connections(Wanted),
    /// To close some of its connections.
    Disconnect(Disconnect),
}

/// Which connections, and how many at once.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Those that are subscribed to this topic.
    pub topic: Option<String>,
    /// Those of clients of this host.
    pub address: Option<HostAddress>,
    /// Those in slots from here on: [`Report::Connections::next`] of the page before.
    pub from: u32,
    /// So many at most, [`PAGE_MAX`] at most.
    pub limit: usize,
}

/// Connections of one answer, at most.
pub const PAGE_MAX: usize = 1000;

/// Topics that are named of one connection, at most.
pub const TOPICS_SHOWN_MAX: usize = 32;

/// Who is to be closed, and what they are told.
#[derive(Clone, Debug)]
pub struct Disconnect {
    /// Who.
    pub whom: Whom,
    /// The code of the close frame.
    pub code: CloseCode,
    /// The reason in it, 123 bytes at most (RFC 6455, 5.5); what is beyond is cut.
    pub reason: String,
}

/// Who is to be closed.
#[derive(Clone, Debug)]
pub enum Whom {
    /// One connection.
    One(ConnId),
    /// All that are subscribed to a topic.
    Topic(String),
    /// All of clients of a host.
    Host(HostAddress),
}

/// What a worker answers.
#[derive(Debug)]
pub enum Report {
    /// It lives.
    Pulse,
    /// What it holds.
    Totals(Totals),
    /// Connections, in the order of their slots.
    Connections {
        /// Those of this page.
        list: Vec<ConnectionInfo>,
        /// Where the next page begins; nothing behind the last.
        next: Option<u32>,
    },
    /// So many are being closed.
    Disconnected(usize),
}

/// What a worker holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// WebSocket connections.
    pub websockets: u64,
    /// Connections for which a send is under way.
    pub sending: u64,
    /// Connections that are not read for now: slow ones, and publishers that wait.
    pub paused: u64,
    /// Bytes of memory that wait for connections, of shared messages a share.
    pub queued_bytes: u64,
    /// Topics that have subscribers here.
    pub topics: u64,
}

/// One connection.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Its worker.
    pub worker: WorkerId,
    /// Which of its connections.
    pub conn: ConnId,
    /// Where it comes from, if it is still connected: the client, not a proxy that has named it.
    pub peer: Option<Peer>,
    /// What it speaks, as the list of protocols names it; nothing before the upgrade.
    pub protocol: Option<&'static str>,
    /// What it is subscribed to, [`TOPICS_SHOWN_MAX`] at most.
    pub topics: Vec<String>,
    /// Bytes of memory that wait for it.
    pub queued_bytes: usize,
    /// Whether a send is under way.
    pub is_sending: bool,
    /// Messages that were dropped because it did not keep up.
    pub dropped: u64,
}

/// A question on its way to a worker. Dropped unanswered where the worker has stopped, or where 64
/// wait.
pub struct Inquired {
    /// What is asked.
    pub inquiry: Inquiry,
    /// Gets the answer, on the worker's thread: it must return at once.
    pub reply: Box<dyn FnOnce(Report) + Send>,
}

impl fmt::Debug for Inquired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inquiry.fmt(f)
    }
}
