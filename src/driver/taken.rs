//! How far the peer has taken what was sent to it, as its side of the kernel says.

use std::os::fd::OwnedFd;

use nix::getsockopt_impl;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;

/// The first words of the kernel's `struct tcp_info` (linux/tcp.h), up to `tcpi_bytes_acked`. The
/// kernel fills as much as is asked for.
type TcpInfoHead = [u64; 16];

#[derive(Clone, Copy, Debug)]
struct TcpInfo;

getsockopt_impl!(TcpInfo, libc::IPPROTO_TCP, libc::TCP_INFO, TcpInfoHead, GetStruct<TcpInfoHead>);

/// The `SK_MEMINFO_` values of linux/sock_diag.h.
type MemInfoWords = [u32; 9];

const SK_MEMINFO_WMEM_ALLOC: usize = 2;

#[derive(Clone, Copy, Debug)]
struct MemInfo;

getsockopt_impl!(
    MemInfo,
    libc::SOL_SOCKET,
    libc::SO_MEMINFO,
    MemInfoWords,
    GetStruct<MemInfoWords>
);

/// A number that changes when the peer takes something: over TCP what it has acknowledged (Linux
/// 4.1). Over Unix sockets `sent`, what the kernel is known to have had of the present send, less
/// the memory of what was not read (Linux 4.12). As requests are short (`SEND_BYTES_MAX`), the
/// kernel fills that up behind our back only with the rest of one, and then `sent` is another.
pub(super) fn taken(socket: &OwnedFd, sent: usize) -> u32 {
    if let Ok(info) = getsockopt(socket, TcpInfo) {
        return info[15] as u32;
    }
    let waiting = getsockopt(socket, MemInfo).map_or(0, |words| words[SK_MEMINFO_WMEM_ALLOC]);
    (sent as u32).wrapping_sub(waiting)
}
