//! The service manager's side: what a server tells it (sd_notify(3)), and descriptors with that.

#![allow(clippy::disallowed_methods, reason = "tests live in real time")]

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Descriptors of one message at most.
const DESCRIPTORS_MAX: usize = 4;

/// Hears what servers say that have its path as NOTIFY_SOCKET.
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

/// One message.
#[derive(Debug, Default)]
pub struct Message {
    /// Its lines.
    pub lines: Vec<String>,
    /// What came with it.
    pub descriptors: Vec<OwnedFd>,
}

impl Message {
    /// What stands behind a name and `=`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Manager {
    /// Listens at a path that is free.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("the path is ours alone");
        Self { socket, path: path.to_owned() }
    }

    /// What NOTIFY_SOCKET is to be.
    #[must_use]
    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// The next message, if it comes in time.
    ///
    /// # Panics
    ///
    /// If it is no text.
    #[must_use]
    pub fn hear(&self, within: Duration) -> Option<Message> {
        let timeout = within.max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(timeout)).expect("it is a socket");
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut bytes)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = loop {
            match recvmsg(&self.socket, &mut into, &mut ancillary, flags) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return None,
                received => break received,
            }
        };
        let length = received.expect("the socket is ours").bytes;
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        let text = std::str::from_utf8(&bytes[..length]).expect("sd_notify(3): it is text");
        Some(Message { lines: text.lines().map(str::to_owned).collect(), descriptors })
    }

    /// All messages up to the one with a line, which is the last.
    ///
    /// # Panics
    ///
    /// If it does not come in time.
    #[must_use]
    pub fn hear_until(&self, line: &str, within: Duration) -> Vec<Message> {
        let until = Instant::now() + within;
        let mut heard = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.hear(left).unwrap_or_else(|| panic!("no {line}: {heard:#?}"));
            let is_last = message.lines.iter().any(|other| other.starts_with(line));
            heard.push(message);
            if is_last {
                return heard;
            }
        }
    }
}
