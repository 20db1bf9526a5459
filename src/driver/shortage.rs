//! What runs out where connections are accepted, and what to raise then.

use std::io;

/// Something of which the kernel has no more for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortage {
    /// Descriptors of this process, or in this thread's table.
    Descriptors,
    /// Open files of the whole host.
    Files,
    /// Memory of the kernel.
    Memory,
    /// Descriptors that this user may watch with epoll.
    Watches,
}

impl Shortage {
    /// What an accept has failed for; nothing if it was of that one connection.
    pub(super) fn of_accept(error: &io::Error) -> Option<Self> {
        match error.raw_os_error()? {
            libc::EMFILE => Some(Self::Descriptors),
            libc::ENFILE => Some(Self::Files),
            libc::ENOBUFS | libc::ENOMEM => Some(Self::Memory),
            _ => None,
        }
    }

    /// What the kernel did not watch a socket for.
    pub(super) fn of_watch(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOMEM) => Self::Memory,
            _ => Self::Watches,
        }
    }

    /// Says so, but not once for every connection that has to wait.
    pub(super) fn warn_once(self, told: &mut Vec<Self>, error: &io::Error) {
        if !told.contains(&self) {
            told.push(self);
            let remedy = self.remedy();
            tracing::warn!(%error, "accepting rests until a connection closes; {remedy}");
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Descriptors => "raise `ulimit -n`",
            Self::Files => "raise it with `sysctl -w fs.file-max=...`",
            Self::Memory => "the kernel has no memory left: lower --max-connections",
            Self::Watches => "raise it with `sysctl -w fs.epoll.max_user_watches=...`",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shortage_has_its_own_remedy() {
        use Shortage::{Descriptors, Files, Memory, Watches};
        let found = |errno| Shortage::of_accept(&io::Error::from_raw_os_error(errno));
        let found = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ECONNABORTED].map(found);
        assert_eq!(found, [Some(Descriptors), Some(Files), Some(Memory), None]);
        let no_watch = |errno| Shortage::of_watch(&io::Error::from_raw_os_error(errno));
        assert_eq!([libc::ENOSPC, libc::ENOMEM].map(no_watch), [Watches, Memory]);
        let mut told = vec![Descriptors];
        let error = io::Error::from_raw_os_error(libc::ENOSPC);
        (0..3).for_each(|_| Watches.warn_once(&mut told, &error));
        assert_eq!(told, [Descriptors, Watches], "each once");
    }
}
