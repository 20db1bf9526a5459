//! Other options for a server that runs.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use super::capacity::Room;
use super::handle::Control;
use super::launch::connections_max;
use super::memory;
use super::monitor::Bounds;
use crate::config::Config;
use crate::protocol::Protocols;
use crate::worker::Reload;

/// What a reload starts from.
#[derive(Debug)]
pub(super) struct Reloading {
    /// Whose setups it has to bring.
    list: TypeId,
    workers: usize,
    room: Room,
    started_with: Config,
    bounds: Arc<dyn Bounds>,
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

impl Reloading {
    pub(super) fn new<L: Protocols>(
        started_with: Config,
        workers: usize,
        room: Room,
        bounds: Arc<dyn Bounds>,
    ) -> Self {
        Self { list: TypeId::of::<L>(), workers, room, started_with, bounds }
    }

    /// Tells all workers; the bounds that they share hold at once.
    pub(super) fn reload<L: Protocols>(
        &self,
        control: &Control,
        wanted: Config,
        setups: L::Setups,
    ) -> Result<(), OtherList> {
        if TypeId::of::<L>() != self.list {
            return Err(OtherList);
        }
        let connections_max = connections_max(&wanted, self.room.all, self.workers);
        let memory = wanted.memory.unwrap_or_else(memory::default_budget);
        self.bounds.set(connections_max, Some(memory).filter(|memory| *memory != usize::MAX));
        let reload = Arc::new(Reload {
            config: Arc::new(self.as_it_can_be(wanted)),
            connections_max: self.room.each.min(connections_max),
            setups: Arc::new(setups) as Arc<dyn Any + Send + Sync>,
        });
        for worker in 0..self.workers {
            control.reload(worker, Arc::clone(&reload));
        }
        Ok(())
    }

    /// The options, but for those that workers are made with.
    fn as_it_can_be(&self, wanted: Config) -> Config {
        let made_with = &self.started_with;
        Config {
            listen: made_with.listen.clone(),
            unix_mode: made_with.unix_mode,
            unix_group: made_with.unix_group.clone(),
            workers: made_with.workers,
            pin: made_with.pin.clone(),
            backend: made_with.backend,
            ping_interval: made_with.ping_interval,
            memory_in_use: made_with.memory_in_use,
            mailbox_capacity: made_with.mailbox_capacity,
            turn_budget: made_with.turn_budget,
            on_burst_freed: made_with.on_burst_freed,
            ..wanted
        }
    }
}
