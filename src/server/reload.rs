//! Other options for a server that runs.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::Stopper;
use super::capacity::Room;
use super::launch::connections_max;
use super::memory;
use super::monitor::Bounds;
use crate::config::Config;
use crate::protocol::{Builtin, Protocols, Setups};
use crate::worker::Reload;

/// Gives a server that runs other options, which hold from each worker's next turn on, for
/// connections that are open too. What a server is made with stays as it is: listeners and their
/// paths, workers and their CPUs, the backend, the times of pings, the sizes of mailboxes and
/// turns.
#[derive(Clone, Debug)]
pub struct Reloader(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stopper: Stopper,
    /// Whose setups it has to bring.
    list: TypeId,
    workers: usize,
    room: Room,
    started_with: Config,
    bounds: Arc<dyn Bounds>,
    /// Of the rules of rooms.
    version: AtomicU8,
}

/// The server speaks another list of protocols than the one that the options are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherList;

impl fmt::Display for OtherList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server speaks another list of protocols")
    }
}

impl std::error::Error for OtherList {}

impl Reloader {
    pub(super) fn new<L: Protocols>(
        stopper: Stopper,
        started_with: Config,
        workers: usize,
        room: Room,
        bounds: Arc<dyn Bounds>,
    ) -> Self {
        let list = TypeId::of::<L>();
        let version = AtomicU8::new(0);
        Self(Arc::new(Inner { stopper, list, workers, room, started_with, bounds, version }))
    }

    /// Tells all workers of a server that speaks what is built in.
    ///
    /// # Errors
    ///
    /// If it speaks another list.
    pub fn reload(&self, wanted: Config) -> Result<(), OtherList> {
        let mut setups = Setups::from(&wanted);
        // Who is in a room looks at its rules again.
        setups.room.version = self.0.version.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.reload_with::<Builtin>(wanted, setups)
    }

    /// Tells all workers; the bounds that they share hold at once.
    ///
    /// # Errors
    ///
    /// If the server was started with another list of protocols.
    pub fn reload_with<L: Protocols>(
        &self,
        wanted: Config,
        setups: L::Setups,
    ) -> Result<(), OtherList> {
        let Inner { stopper, list, workers, room, bounds, .. } = &*self.0;
        if TypeId::of::<L>() != *list {
            return Err(OtherList);
        }
        let connections_max = connections_max(&wanted, room.all, *workers);
        let memory = wanted.memory.unwrap_or_else(memory::default_budget);
        bounds.set(connections_max, Some(memory).filter(|memory| *memory != usize::MAX));
        bounds.reload(Reload {
            config: Arc::new(self.as_it_can_be(wanted)),
            connections_max: room.each.min(connections_max),
            setups: Arc::new(setups) as Arc<dyn Any + Send + Sync>,
        });
        stopper.wake();
        Ok(())
    }

    /// The options, but for those that workers are made with.
    fn as_it_can_be(&self, wanted: Config) -> Config {
        let made_with = &self.0.started_with;
        Config {
            listen: made_with.listen.clone(),
            unix_mode: made_with.unix_mode,
            unix_group: made_with.unix_group.clone(),
            workers: made_with.workers,
            pin: made_with.pin.clone(),
            backend: made_with.backend,
            ping_interval: made_with.ping_interval,
            pong_timeout: made_with.pong_timeout,
            memory_in_use: made_with.memory_in_use,
            mailbox_capacity: made_with.mailbox_capacity,
            turn_budget: made_with.turn_budget,
            on_burst_freed: made_with.on_burst_freed,
            ..wanted
        }
    }
}
