//! What a connection costs, in bytes: the objects of Linux 6.18 on x86-64, as /proc/slabinfo has
//! them, counted with a million loopback connections.

use crate::config::Backend;

/// The server's end of an idle connection in the kernel: `TCPv6`, `sock_inode_cache`, `filp`,
/// `dentry`, and a place in the descriptor table.
const SOCKET: u64 = 3_850;

/// Both ends of an idle connection in the kernel.
const PAIR: u64 = 7_900;

/// What epoll keeps for a descriptor: an item, an entry of its wait queue, a head.
const EPOLL_WATCH: u64 = 208;

/// What io_uring keeps for an armed multishot poll: a request and the poll.
const URING_POLL: u64 = 256;

/// What the server itself keeps of an idle connection, at most.
const SERVER: u64 = 256;

/// What a client's program keeps of one, where clients run here too.
const CLIENT: u64 = 256;

/// By how much free memory shrinks for each hundred bytes of objects: slabs are not full, and
/// there are tables of pages (9.0 KB were missing for 8.1 KB of objects).
const PERCENT_OF_OBJECTS: u64 = 111;

/// Memory that stays free, in percent of all: for messages under way, and for everybody else.
pub(super) const PERCENT_KEPT_FREE: u64 = 5;

/// Bytes of memory that one idle connection takes from this host.
pub(super) fn connection_bytes(backend: Backend, has_local_clients: bool) -> u64 {
    let watch = if backend == Backend::Epoll { EPOLL_WATCH } else { URING_POLL };
    let (objects, programs) = if has_local_clients {
        (PAIR + watch + EPOLL_WATCH, SERVER + CLIENT)
    } else {
        (SOCKET + watch, SERVER)
    };
    objects * PERCENT_OF_OBJECTS / 100 + programs
}
