//! Whether this host lets us use io_uring, found out by using it.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use io_uring::types::Fd;
use io_uring::{Probe, opcode};

use super::ring::Ring;

const SUBMISSIONS: u32 = 8;
const COMPLETIONS: u32 = 32;

/// Bytes that count against RLIMIT_MEMLOCK while it lasts, and until the kernel has taken the ring
/// apart, which is a little later.
#[must_use]
pub fn probe_locked_bytes() -> u64 {
    Ring::locked_bytes(SUBMISSIONS, COMPLETIONS)
}

/// Sets up a small ring and receives a byte through it.
///
/// # Errors
///
/// What stands in the way, with the remedy where there is one.
pub fn probe() -> Result<(), String> {
    let ring = Ring::new(SUBMISSIONS, COMPLETIONS).map_err(|error| explain(&error))?;
    check_opcodes(&ring)?;
    receive_a_byte(ring).map_err(|error| format!("a trial receive failed: {error}"))
}

fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => "this kernel has no io_uring".into(),
        Some(libc::EPERM | libc::EACCES) => "io_uring is forbidden here: by \
             `sysctl kernel.io_uring_disabled`, or by a container's seccomp profile"
            .into(),
        Some(libc::EINVAL) => "this kernel is too old: Linux 6.6 or newer is needed".into(),
        Some(libc::ENOMEM) => "no memory may be locked: raise `ulimit -l`".into(),
        _ => error.to_string(),
    }
}

fn check_opcodes(ring: &Ring) -> Result<(), String> {
    let mut probe = Probe::new();
    let submitter = ring.inner().submitter();
    submitter.register_probe(&mut probe).map_err(|error| format!("no probe: {error}"))?;
    let needed = [
        ("ACCEPT", opcode::AcceptMulti::CODE),
        ("POLL_ADD", opcode::PollAdd::CODE),
        ("RECV", opcode::Recv::CODE),
        ("SEND", opcode::Send::CODE),
        ("SENDMSG", opcode::SendMsg::CODE),
        ("ASYNC_CANCEL", opcode::AsyncCancel2::CODE),
        ("CLOSE", opcode::Close::CODE),
    ];
    match needed.iter().find(|(_, code)| !probe.is_supported(*code)) {
        Some((name, _)) => Err(format!("this kernel's io_uring has no {name}")),
        None => Ok(()),
    }
}

/// Both ends through the ring: where it works, nothing else moves a byte.
fn receive_a_byte(mut ring: Ring) -> io::Result<()> {
    const BYTE: &[u8] = b"!";
    let mut byte = [0_u8];
    let (near, far) = UnixStream::pair()?;
    let send = opcode::Send::new(Fd(far.as_raw_fd()), BYTE.as_ptr(), 1).build();
    // SAFETY: the byte is a constant.
    unsafe { ring.push(&send) };
    ring.submit(1)?;
    let sent = ring.next().map(|completion| completion.result());
    let receive = opcode::Recv::new(Fd(near.as_raw_fd()), byte.as_mut_ptr(), 1)
        .flags(libc::MSG_DONTWAIT)
        .build();
    // SAFETY: a receive that does not wait ends in this submission, which is before the byte goes.
    unsafe { ring.push(&receive) };
    ring.submit(1)?;
    let received = ring.next().ok_or(io::ErrorKind::TimedOut)?;
    let is_right = sent == Some(1) && received.result() == 1 && byte == BYTE;
    if is_right { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
