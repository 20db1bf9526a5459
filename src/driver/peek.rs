//! A look at what a socket holds, taking nothing.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{MsgFlags, recv};

/// Whether the kernel has bytes of the peer. A FIN is none.
pub(super) fn holds_bytes(socket: &OwnedFd) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(socket.as_raw_fd(), &mut [0], flags).is_ok_and(|count| count > 0)
}
