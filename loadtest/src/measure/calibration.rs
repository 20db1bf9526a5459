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

use super::kernel::KernelMemory;
use crate::engine::{connect_from, table};

/// Pairs: enough that what else happens on the machine does not show.
const PAIRS: usize = 4000;

/// Bytes of slab that the loader needs for its end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoaderEnd {
    pub(crate) bytes: f64,
}

/// Measures it, in a thread with a descriptor table of its own.
pub(crate) fn loader_end(limit: usize) -> io::Result<LoaderEnd> {
    let pairs = PAIRS.min(limit.saturating_sub(128) / 2);
    let thread = std::thread::spawn(move || {
        table::part()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        // The first ones make the kernel's caches; they are not counted.
        let before_all = open(&listener, address, pairs / 8)?;
        let before = KernelMemory::read();
        let opened = open(&listener, address, pairs)?;
        let after = KernelMemory::read();
        // A reset leaves no socket in TIME_WAIT behind.
        for (_, sockets) in [&before_all, &opened] {
            sockets.iter().for_each(crate::engine::make_close_reset);
        }
        drop((before_all, opened));
        let ports = after.port_bytes.saturating_sub(before.port_bytes) as f64;
        let all = after.slab_bytes.saturating_sub(before.slab_bytes) as f64;
        let bytes = ((all - ports) / 2.0 + ports) / pairs as f64;
        Ok(LoaderEnd { bytes })
    });
    thread.join().map_err(|_| io::Error::other("the calibration panicked"))?
}

fn open(
    listener: &TcpListener,
    address: SocketAddr,
    pairs: usize,
) -> io::Result<(Poll, Vec<TcpStream>)> {
    let poll = Poll::new()?;
    let mut sockets = Vec::with_capacity(2 * pairs);
    for id in 0..pairs {
        let client = connect_from(address, id as u32)?;
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
