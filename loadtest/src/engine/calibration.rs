//! What one end of a connection costs the kernel in the loader, measured without a server.
//!
//! Of a connection over loopback both ends are on this machine, and slabs do not say whose.
//! But the loader's end is always the same: a connected socket in a poll. So pairs are opened whose
//! two ends are both like that; half of what they cost is one end, and what a pair with the
//! server costs beyond it is the server's end. Ports are only bound on the connecting end.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

use mio::net::TcpStream;
use mio::{Interest, Poll, Token};

use super::net::describe;
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
pub(crate) fn loader_end(limit: usize) -> Result<LoaderEnd, String> {
    measure(limit).map_err(|error| match error.kind() {
        ErrorKind::AddrNotAvailable => {
            "no source port is free, see sysctl net.ipv4.ip_local_port_range".to_owned()
        }
        _ => describe(&error),
    })
}

fn measure(limit: usize) -> io::Result<LoaderEnd> {
    let pairs = PAIRS.min(limit.saturating_sub(128) / (2 * (ROUNDS + 1)));
    let thread = std::thread::spawn(move || {
        table::part()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        // The first ones take what the kernel has left over; they are not counted.
        let mut opened = vec![open(&listener, address, ids(0, pairs))?];
        let mut rounds = Vec::new();
        for round in 1..=ROUNDS {
            let before = KernelMemory::read();
            opened.push(open(&listener, address, ids(round, pairs))?);
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

/// Pairs are numbered through like clients, so that no source address needs more ports than theirs.
fn ids(round: usize, pairs: usize) -> Range<u32> {
    let first = round * pairs;
    first as u32..(first + pairs) as u32
}

fn open(
    listener: &TcpListener,
    address: SocketAddr,
    ids: Range<u32>,
) -> io::Result<(Poll, Vec<TcpStream>)> {
    let poll = Poll::new()?;
    let mut sockets = Vec::with_capacity(2 * ids.len());
    for id in ids {
        let client = sources::connect(address, id)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn no_source_has_more_pairs_than_it_has_clients() {
        let mut by_source = HashMap::new();
        for id in (0..=ROUNDS).flat_map(|round| ids(round, PAIRS)) {
            *by_source.entry(sources::source(id)).or_insert(0_u32) += 1;
        }
        assert_eq!(by_source.values().sum::<u32>() as usize, PAIRS * (ROUNDS + 1));
        assert!(by_source.values().all(|pairs| *pairs <= sources::PER_SOURCE), "{by_source:?}");
    }
}
