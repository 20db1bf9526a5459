//! What the service manager is told, as sd_notify(3) has it: that the server listens, reads its
//! options again, stops, and how far it has come with that. Nobody is told where NOTIFY_SOCKET is
//! not set.

use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};

use super::{Monitor, Server};
use crate::driver;

/// How long a manager may let us wait. After it the message is given up, and the log has a line.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// How often it is told how many connections are left.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Tells that the server listens; call it when signals are watched.
pub fn tell_ready(server: &Server) {
    tell(&format!("READY=1\nSTATUS={}\n", server.size()), &[]);
}

/// Tells that options are read again, and what time it is (Type=notify-reload).
pub(super) fn tell_reloading() {
    if is_watched() {
        let micros = driver::monotonic_time().as_micros();
        tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"), &[]);
    }
}

/// Tells that this is over.
pub(super) fn tell_reloaded() {
    tell("READY=1\n", &[]);
}

/// Tells that the server has begun to stop, and from then on how many connections are left, on a
/// thread that ends with the server.
pub(super) fn tell_stopping(monitor: Monitor) {
    if !is_watched() {
        return;
    }
    tell(&format!("STOPPING=1\n{}", left(&monitor)), &[]);
    let told = thread::Builder::new().name("status".into()).spawn(move || {
        while rest(STATUS_INTERVAL, &monitor) {
            tell(&left(&monitor), &[]);
        }
    });
    if let Err(error) = told {
        tracing::warn!("the service manager is not told how many connections are left: {error}");
    }
}

fn left(monitor: &Monitor) -> String {
    let connections = monitor.counts().connections();
    format!("STATUS=saying goodbye to the clients, {connections} connections left\n")
}

/// Sleeps; false if the server has ended.
pub(super) fn rest(span: Duration, monitor: &Monitor) -> bool {
    // Nobody sends on it: it is a sleep.
    let _ = crossbeam_channel::never::<()>().recv_timeout(span);
    !monitor.has_ended()
}

pub(super) fn is_watched() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Tells something, with descriptors of this thread's table; whether anybody was told.
pub(super) fn tell(message: &str, descriptors: &[RawFd]) -> bool {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return false };
    let result = send(&socket, message, descriptors);
    if let Err(error) = &result {
        tracing::warn!("cannot tell the service manager (NOTIFY_SOCKET): {error}");
    }
    result.is_ok()
}

fn send(socket: &OsStr, message: &str, descriptors: &[RawFd]) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => UnixAddr::new_abstract(name)?,
        path => UnixAddr::new(path)?,
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_write_timeout(Some(SEND_TIMEOUT))?;
    let rights = [ControlMessage::ScmRights(descriptors)];
    let rights = if descriptors.is_empty() { &rights[..0] } else { &rights[..] };
    let bytes = [IoSlice::new(message.as_bytes())];
    sendmsg(sender.as_raw_fd(), &bytes, rights, MsgFlags::empty(), Some(&address))?;
    Ok(())
}
