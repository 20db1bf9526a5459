//! The same bytes to every socket, and again when all have them.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::sys::socket::{MsgFlags, send};

use super::cpu::{self, Used};
use super::frames::{COALESCED, of_server};
use super::pairs::Pairs;
use super::peers::Order;
use super::{Options, uring};

/// Sends of a round at least, so that it lasts longer than what disturbs it.
const ROUND_SENDS: u32 = 20_000;
/// Writes to each connection before any counts. A receiver's kernel acknowledges up to so many
/// segments at once (TCP_MAX_QUICKACKS), which costs the sender half as much again as its send.
pub const WARM_UP_WRITES: u32 = 16;
/// Times that a round goes over the sockets at most: each pass ends with a sleep of both sides.
const PASSES_MAX: u32 = 100;

/// A way to send.
pub(super) trait Sender {
    /// Sends all of `bytes` on every socket.
    fn send_all(&mut self, sockets: &[OwnedFd], bytes: &'static [u8]) -> io::Result<()>;
}

/// One call for each socket.
struct Calls;

/// What one way of sending took.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) single: cpu::Samples,
    pub(super) coalesced: cpu::Samples,
}

/// What both ways took.
#[derive(Debug)]
pub(super) struct Broadcast {
    pub(super) by_calls: Samples,
    pub(super) by_ring: Option<Samples>,
}

/// Runs the rounds of all kinds in turn, so that a noisy moment meets them alike. The first of each
/// only warms up.
pub(super) fn measure(
    pairs: &Pairs,
    options: &Options,
    mut ring: Option<&mut uring::Ring>,
) -> Result<Broadcast> {
    let frames = [1, COALESCED].map(|count| of_server(options.size as usize, count as usize));
    let sends = u64::from(passes(options.connections)) * u64::from(options.connections);
    let samples = || Samples {
        single: cpu::Samples::new(sends),
        coalesced: cpu::Samples::new(sends * u64::from(COALESCED)),
    };
    let mut broadcast = Broadcast { by_calls: samples(), by_ring: ring.is_some().then(samples) };
    for _ in 0..WARM_UP_WRITES {
        pass(pairs, &mut Calls, frames[0])?;
    }
    for round in 0..=options.rounds {
        let is_counted = round > 0;
        broadcast.by_calls.round(pairs, &mut Calls, frames, is_counted)?;
        if let (Some(samples), Some(ring)) = (&mut broadcast.by_ring, ring.as_deref_mut()) {
            samples.round(pairs, ring, frames, is_counted)?;
        }
    }
    Ok(broadcast)
}

impl Samples {
    fn round(
        &mut self,
        pairs: &Pairs,
        sender: &mut impl Sender,
        frames: [&'static [u8]; 2],
        is_counted: bool,
    ) -> Result<()> {
        for (samples, bytes) in [&mut self.single, &mut self.coalesced].into_iter().zip(frames) {
            let mut round = Used::default();
            for _ in 0..passes(pairs.sockets.len() as u32) {
                round += pass(pairs, sender, bytes)?;
            }
            if is_counted {
                samples.add(round);
            }
        }
        Ok(())
    }
}

/// Times that a round goes over all sockets.
fn passes(connections: u32) -> u32 {
    ROUND_SENDS.div_ceil(connections).min(PASSES_MAX)
}

/// Ends when all peers have their bytes.
fn pass(pairs: &Pairs, sender: &mut impl Sender, bytes: &'static [u8]) -> Result<Used> {
    pairs.peers.order(Order::Receive(bytes.len() as u64 * pairs.sockets.len() as u64));
    cpu::settle()?;
    let before = pairs.meter.so_far()?;
    let sent = sender.send_all(&pairs.sockets, bytes).context("a broadcast failed");
    let mut used = pairs.meter.since(before)?;
    sent.map_err(|error| pairs.peers.explain(error))?;
    pairs.peers.wait()?;
    pairs.meter.settle_softirq(before, &mut used);
    Ok(used)
}

impl Sender for Calls {
    fn send_all(&mut self, sockets: &[OwnedFd], bytes: &'static [u8]) -> io::Result<()> {
        for socket in sockets {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            if send(socket.as_raw_fd(), bytes, flags)? < bytes.len() {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}
