//! What one end of a connection costs the kernel in the loader, measured without a server.
//!
//! Of a connection over loopback both ends are on this machine, and slabs do not say whose.
//! But the loader's end is always the same: a connected socket in a poll. So pairs are opened whose
//! two ends are both like that; half of what they cost is one end, and what a pair with the
//! server costs beyond it is the server's end. Ports are only bound on the connecting end.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use mio::net::TcpStream;
use mio::{Interest, Poll, Token};

use super::{sources, table};
use crate::measure::kernel::KernelMemory;

/// Pairs of a round: enough that what else happens on the machine hardly shows.
const PAIRS: usize = 1500;

/// Rounds; the one in the middle counts. All stay open to the end: what a round gave back would
/// make the next one look cheaper.
const ROUNDS: usize = 3;

/// Bytes of slab that the loader needs for its end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoaderEnd {
    pub(crate) bytes: f64,
}

/// Measures it, in a thread with a descriptor table of its own.
pub(crate) fn loader_end(limit: usize) -> io::Result<LoaderEnd> {
    let pairs = PAIRS.min(limit.saturating_sub(128) / (2 * (ROUNDS + 1)));
    let thread = std::thread::spawn(move || {
        table::part()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        // The first ones take what the kernel has left over; they are not counted.
        let mut opened = vec![open(&listener, address, pairs)?];
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let before = KernelMemory::read();
            opened.push(open(&listener, address, pairs)?);
            rounds.push(one_end(&before, &KernelMemory::read()) / pairs as f64);
        }
        for (_, sockets) in &opened {
            // A reset leaves no socket in TIME_WAIT behind.
            sockets.iter().for_each(sources::make_close_reset);
        }
        rounds.sort_by(f64::total_cmp);
        Ok(LoaderEnd { bytes: rounds[ROUNDS / 2] })
    });
    thread.join().map_err(|_| io::Error::other("the calibration panicked"))?
}

/// What the connecting ends among pairs cost, in bytes.
fn one_end(before: &KernelMemory, after: &KernelMemory) -> f64 {
    let ports = after.port_bytes as f64 - before.port_bytes as f64;
    let all = after.slab_bytes as f64 - before.slab_bytes as f64;
    (all - ports) / 2.0 + ports
}

fn open(
    listener: &TcpListener,
    address: SocketAddr,
    pairs: usize,
) -> io::Result<(Poll, Vec<TcpStream>)> {
    let poll = Poll::new()?;
    let mut sockets = Vec::with_capacity(2 * pairs);
    for id in 0..pairs {
        let client = sources::connect(address, id as u32)?;
        let (accepted, _) = listener.accept()?;
        accepted.set_nonblocking(true)?;
        for mut socket in [client, TcpStream::from_std(accepted)] {
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut socket, Token(sockets.len()), interest)?;
            sockets.push(socket);
        }
    }
    Ok((poll, sockets))
}
