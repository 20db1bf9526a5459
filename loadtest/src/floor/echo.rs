//! The answer to every message, as the loop of a server does it that looks at nothing.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::epoll::{self, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv, send};

use super::Options;
use super::cpu::{self, Samples};
use super::frames::{Echoed, RECEIVE_BYTES, Whole};
use super::pairs::{Pairs, STALL};
use super::peers::Order;
use crate::place::Memory;

/// Messages of a round at least, so that it lasts longer than what disturbs it.
const ROUND_MESSAGES: u32 = 20_000;
/// Messages on one connection in a round, but for the depth: each may cost both sides a sleep.
const EACH_MAX: u32 = 500;

/// A way to wait, receive and send.
pub(super) trait Echo {
    /// Answers until that many messages were answered.
    fn answer(&mut self, sockets: &[OwnedFd], messages: u64) -> Result<()>;
}

/// Runs the rounds; the first only warms up.
pub(super) fn measure(pairs: &Pairs, options: &Options, echo: &mut impl Echo) -> Result<Samples> {
    let connections = options.connections;
    let depth = options.depth;
    // Whole depths: a rest would cost as many calls and have fewer messages to share them.
    let each = ROUND_MESSAGES.div_ceil(connections).min(EACH_MAX).next_multiple_of(depth);
    let messages = u64::from(each) * u64::from(connections);
    let mut samples = Samples::new(messages);
    for round in 0..=options.rounds {
        pairs.peers.order(Order::Exchange { messages: each, depth, echoed: options.echoed() });
        cpu::settle()?;
        let before = pairs.meter.so_far()?;
        let answered = echo.answer(&pairs.sockets, messages).context("an echo failed");
        let mut used = pairs.meter.since(before)?;
        answered.map_err(|error| pairs.peers.explain(error))?;
        pairs.peers.wait()?;
        pairs.meter.settle_softirq(before, &mut used);
        if round > 0 {
            samples.add(used);
        }
    }
    Ok(samples)
}

/// epoll_wait(2), recv(2) and send(2).
pub(super) struct Epoll {
    epoll: epoll::Epoll,
    events: Vec<EpollEvent>,
    buffer: Memory,
    echoed: Echoed,
    replies: &'static [u8],
    whole: Vec<Whole>,
}

impl Epoll {
    /// Registers the sockets, by edges.
    pub(super) fn new(sockets: &[OwnedFd], echoed: Echoed) -> Result<Self> {
        let epoll = epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for (at, socket) in sockets.iter().enumerate() {
            let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
            epoll.add(socket, EpollEvent::new(flags, at as u64)).context(
                "epoll takes no more sockets: `sysctl -w fs.epoll.max_user_watches=4000000`",
            )?;
        }
        Ok(Self {
            epoll,
            events: vec![EpollEvent::empty(); 1024],
            buffer: Memory::new(RECEIVE_BYTES),
            echoed,
            replies: echoed.replies(),
            whole: vec![Whole::default(); sockets.len()],
        })
    }

    fn wait(&mut self) -> Result<usize> {
        let timeout = EpollTimeout::try_from(STALL)?;
        loop {
            match self.epoll.wait(&mut self.events, timeout) {
                Ok(0) => bail!("nothing came for {STALL:?}"),
                Ok(count) => return Ok(count),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Echo for Epoll {
    fn answer(&mut self, sockets: &[OwnedFd], messages: u64) -> Result<()> {
        let mut answered = 0;
        while answered < messages {
            for event in 0..self.wait()? {
                let at = self.events[event].data() as usize;
                let socket = sockets[at].as_raw_fd();
                let count = match recv(socket, self.buffer.bytes(), MsgFlags::MSG_DONTWAIT) {
                    Ok(0) => bail!("a client has closed its connection"),
                    Ok(count) => count,
                    Err(Errno::EAGAIN) => continue,
                    Err(error) => return Err(error).context("recv"),
                };
                let whole = self.whole[at].take(count, self.echoed.request_bytes);
                if whole == 0 {
                    continue;
                }
                let reply = &self.replies[..whole * self.echoed.reply_bytes];
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                let sent = send(socket, reply, flags).context("send")?;
                ensure!(sent == reply.len(), "a socket takes {sent} of {} bytes", reply.len());
                answered += whole as u64;
            }
        }
        Ok(())
    }
}
