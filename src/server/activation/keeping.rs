//! Whether a listener stays open when this process lets go of it.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::ListenAddr;
use crate::server::readiness;

/// Of one listener, and of its duplicates in all workers.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Keeping {
    is_kept: Arc<AtomicBool>,
    /// Its name in the store of the service manager, which is to get it.
    name: Option<String>,
}

/// How many listeners may still be put into the store of the service manager.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::server) struct Store {
    room: usize,
    is_there: bool,
}

/// What the names in the store begin with.
const NAMES: [&str; 2] = ["throng-tcp-", "throng-unix-"];

/// sd_pid_notify_with_fds(3): a name has so many characters at most.
const NAME_BYTES_MAX: usize = 255;

impl Store {
    pub(in crate::server) fn new(room: usize) -> Self {
        Self { room, is_there: room > 0 }
    }

    pub(in crate::server) fn has_room(&self) -> bool {
        self.room > 0
    }

    /// For a listener that this process has opened.
    pub(in crate::server) fn keeping(&mut self, address: &ListenAddr) -> Keeping {
        if self.room == 0 {
            if self.is_there {
                tracing::warn!(
                    "the service manager's store of descriptors has no room for a listener of \
                     {address}: raise FileDescriptorStoreMax= in the unit"
                );
            }
            return Keeping::default();
        }
        self.room -= 1;
        Keeping { name: Some(name_of(address)), ..Keeping::default() }
    }
}

impl Keeping {
    /// Of a listener that the service manager has passed.
    pub(in crate::server) fn by_manager() -> Self {
        Self { is_kept: Arc::new(AtomicBool::new(true)), name: None }
    }

    /// Of a duplicate of the same listener.
    pub(in crate::server) fn of_duplicate(&self) -> Self {
        Self { is_kept: Arc::clone(&self.is_kept), name: None }
    }

    /// Whether somebody else has it.
    pub(in crate::server) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_kept)
    }

    /// Puts the listener into the store, if it is to be there: on the thread that has it in its
    /// table.
    pub(in crate::server) fn store(&self, listener: &impl AsRawFd) {
        let Some(name) = &self.name else { return };
        let descriptor: RawFd = listener.as_raw_fd();
        let is_told = readiness::tell(&format!("FDSTORE=1\nFDNAME={name}\n"), &[descriptor]);
        self.is_kept.store(is_told, Ordering::Release);
    }
}

/// Has the store let go of all listeners of a name.
pub(in crate::server) fn forget(name: &str) {
    readiness::tell(&format!("FDSTOREREMOVE=1\nFDNAME={name}\n"), &[]);
}

pub(super) fn is_name_of_ours(name: &str) -> bool {
    NAMES.iter().any(|prefix| name.starts_with(prefix))
}

/// A name has neither control characters nor a colon.
fn name_of(address: &ListenAddr) -> String {
    let [tcp, unix] = NAMES;
    let mut name = match address {
        ListenAddr::Tcp(address) => format!("{tcp}{}-{}", address.ip(), address.port()),
        ListenAddr::All(port) => format!("{tcp}all-{port}"),
        ListenAddr::Unix(path) => format!("{unix}{}", path.display()),
    };
    name = name.replace(|c: char| c == ':' || !c.is_ascii_graphic(), "_");
    name.truncate(NAME_BYTES_MAX);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_a_manager_takes() {
        let name = |address: &str| name_of(&address.parse().unwrap());
        assert_eq!(name("127.0.0.1:8080"), "throng-tcp-127.0.0.1-8080");
        assert_eq!(name("[::1]:8080"), "throng-tcp-__1-8080");
        assert_eq!(name("unix:/run/a b:c.sock"), "throng-unix-/run/a_b_c.sock");
        let long = name_of(&ListenAddr::Unix("/é".repeat(300).into()));
        assert_eq!(long.len(), NAME_BYTES_MAX);
        for name in [&long, "throng-tcp-1.2.3.4-5"] {
            assert!(is_name_of_ours(name) && !is_name_of_ours(&name[1..]));
        }
    }

    #[test]
    fn a_store_takes_no_more_than_it_has_room_for() {
        let address = "127.0.0.1:1".parse().unwrap();
        let mut store = Store::new(2);
        let are_stored = [(); 3].map(|()| store.keeping(&address).name.is_some());
        assert_eq!(are_stored, [true, true, false]);
        assert!(Store::new(0).keeping(&address).name.is_none());
    }
}
