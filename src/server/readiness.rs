//! What the service manager is told, as sd_notify(3) has it: that the server listens, and that it
//! stops. Nobody is told where NOTIFY_SOCKET is not set.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::Server;

/// How long a manager may let us wait. After it the message is given up, and the log has a line.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Tells that the server listens; call it when signals are watched.
pub fn tell_ready(server: &Server) {
    tell(&format!("READY=1\nSTATUS={}\n", server.size()));
}

/// Tells that the server has begun to stop.
pub(super) fn tell_stopping() {
    tell("STOPPING=1\nSTATUS=saying goodbye to the clients\n");
}

fn tell(message: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&socket, message) {
        tracing::warn!("cannot tell the service manager (NOTIFY_SOCKET): {error}");
    }
}

fn send(socket: &OsStr, message: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_write_timeout(Some(SEND_TIMEOUT))?;
    sender.send_to_addr(message.as_bytes(), &address).map(drop)
}
