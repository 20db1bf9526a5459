//! How many connections the descriptor limits allow, and how many descriptors connections need.

use std::num::NonZero;
use std::thread::available_parallelism;

use crate::config::{Config, Pin};
use crate::limits::REFUSALS_MAX;

/// Descriptors that a worker needs beside its connections, wakers and listeners: poll or ring,
/// those over the limit that are told so, and some that come and go.
const BESIDE_OF_WORKER: usize = 1 + REFUSALS_MAX + 8;

/// Standard streams, of each table.
const STREAMS: usize = 3;

/// Whose descriptors count against one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// Each worker has a table of its own, and the limit for itself.
    Private,
    /// All workers share the table of the process, and the limit: where a filter forbids both
    /// unshare(2) and close_range(2).
    Shared,
}

/// Connections for which there are descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Of one worker.
    pub each: usize,
    /// Of all workers together, if the kernel spreads connections evenly over private tables: it
    /// takes a worker by a hash, so one table may be full while others are not. `throng doctor`
    /// counts what fits all the same, which is less.
    pub all: usize,
}

/// Threads of a server that is not told how many: one for each CPU that it may run on and that the
/// quota of its cgroup leaves to it.
#[must_use]
pub fn default_workers() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

/// Threads of a server with these options.
#[must_use]
pub fn workers(config: &Config) -> usize {
    match &config.pin {
        _ if config.workers > 0 => config.workers,
        Pin::List(cpus) => cpus.len(),
        Pin::Auto | Pin::Off => default_workers(),
    }
}

/// Descriptors of a table that no connection can have.
#[must_use]
pub fn descriptors_beside(workers: usize, listeners: usize, tables: Tables) -> usize {
    match tables {
        Tables::Private => STREAMS + BESIDE_OF_WORKER + workers + listeners,
        Tables::Shared => STREAMS + workers * (BESIDE_OF_WORKER + 1 + listeners) + listeners,
    }
}

/// Connections of workers whose tables may hold `limit` descriptors.
#[must_use]
pub fn room(limit: usize, workers: usize, listeners: usize, tables: Tables) -> Room {
    let each = limit.saturating_sub(descriptors_beside(workers, listeners, tables));
    match tables {
        Tables::Private => Room { each, all: each.saturating_mul(workers) },
        Tables::Shared => Room { each, all: each },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_all_has_room_for_what_one_of_many_has_less_what_the_others_need() {
        let private = room(20_000, 4, 1, Tables::Private);
        assert_eq!(private.all, 4 * private.each);
        let shared = room(20_000, 4, 1, Tables::Shared);
        assert_eq!(shared.all, shared.each);
        assert!(shared.all < private.each && shared.all > private.each - 4 * 50, "{shared:?}");
        assert_eq!(room(60, 4, 1, Tables::Shared).all, 0);
    }

    #[test]
    fn a_list_of_cpus_says_how_many_workers_unless_that_is_said() {
        let pin = Pin::List(vec![0, 2, 3]);
        let listed = Config { pin, ..Config::default() };
        assert_eq!(workers(&listed), 3);
        assert_eq!(workers(&Config { workers: 5, ..listed }), 5);
        assert_eq!(workers(&Config::default()), default_workers());
    }
}
