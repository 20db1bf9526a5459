//! What forbids io_uring on a host, and who can permit it.

use super::host::IoUring;

/// Why it does not work, and the remedy.
pub(super) struct Forbidden {
    pub(super) reason: String,
    pub(super) remedy: String,
}

/// `None` where it works.
pub(super) fn forbidden(io_uring: &IoUring) -> Option<Forbidden> {
    let reason = io_uring.probed.as_ref().err()?;
    let (reason, remedy) = match io_uring.disabled {
        Some(2) => (
            "kernel.io_uring_disabled is 2: nobody may use it",
            "sysctl -w kernel.io_uring_disabled=0",
        ),
        Some(1) => (
            "kernel.io_uring_disabled is 1: only the group kernel.io_uring_group may use it",
            "sysctl -w kernel.io_uring_group=$(id -g) as root, or kernel.io_uring_disabled=0",
        ),
        _ if io_uring.is_filtered && reason.contains("forbidden") => (
            "a seccomp filter forbids it, as those of containers do",
            "a seccomp profile with io_uring_setup, io_uring_enter and io_uring_register \
             (docker run --security-opt seccomp=FILE)",
        ),
        _ => (reason.as_str(), "run it with --backend epoll"),
    };
    Some(Forbidden { reason: reason.into(), remedy: remedy.into() })
}
