//! Figures over time, for plots: a bounded number of samples however long the run is.

use nix::unistd::Pid;

use super::kernel::KernelMemory;
use super::process::{CpuTime, resident_bytes_about};
use crate::clock::{Clock, seconds};

/// Samples, at most. When there are as many, every second one is dropped and the next ones come
/// half as often.
const SAMPLES_MAX: usize = 1200;

/// Between two samples of a short run.
const INTERVAL_NS: u64 = 250_000_000;

/// From here on samples are taken more rarely.
const MANY_CONNECTIONS: u64 = 100_000;

/// Between two counts of the slabs while the number of connections stays.
const SLABS_NS: u64 = 10_000_000_000;

/// One moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) at_s: f64,
    pub(crate) connections: u64,
    /// Messages until then.
    pub(crate) messages: u64,
    /// CPUs that the server used since the sample before; 1 is one CPU. `None` if none is watched.
    pub(crate) server_cpus: Option<f64>,
    pub(crate) loader_cpus: f64,
    pub(crate) server_bytes: Option<u64>,
    /// `None` where they may not be read.
    pub(crate) slab_bytes: Option<u64>,
    pub(crate) tcp_bytes: u64,
    pub(crate) available_bytes: u64,
}

/// Takes samples.
pub(crate) struct Sampler {
    clock: Clock,
    server: Option<Pid>,
    interval_ns: u64,
    due_ns: u64,
    last: (u64, CpuTime, CpuTime),
    slabs: Option<Slabs>,
    pub(crate) samples: Vec<Sample>,
}

/// The slabs as they were last counted.
struct Slabs {
    at_ns: u64,
    connections: u64,
    memory: KernelMemory,
}

impl Slabs {
    fn count(at_ns: u64, connections: u64) -> Self {
        Self { at_ns, connections, memory: KernelMemory::read() }
    }

    /// With as many connections as before the slabs change slowly.
    fn are_fresh(&self, now_ns: u64, connections: u64) -> bool {
        self.connections == connections && now_ns < self.at_ns + SLABS_NS
    }
}

impl Sampler {
    pub(crate) fn new(clock: Clock, server: Option<Pid>) -> Self {
        let mut sampler = Self {
            clock,
            server,
            interval_ns: INTERVAL_NS,
            due_ns: 0,
            last: Default::default(),
            slabs: None,
            samples: Vec::new(),
        };
        sampler.last = sampler.read_cpu();
        sampler
    }

    /// Looks at another process from now on.
    pub(crate) fn watch(&mut self, server: Option<Pid>) {
        self.server = server;
        self.last = self.read_cpu();
    }

    fn read_cpu(&self) -> (u64, CpuTime, CpuTime) {
        let server = self.server.and_then(|pid| CpuTime::of(pid).ok()).unwrap_or_default();
        let loader = CpuTime::of(Pid::this()).unwrap_or_default();
        (self.clock.now_ns(), server, loader)
    }

    fn read_kernel(&mut self, now_ns: u64, connections: u64) -> KernelMemory {
        if let Some(slabs) = &self.slabs
            && slabs.are_fresh(now_ns, connections)
        {
            return slabs.memory.but_read_the_rest();
        }
        self.slabs.insert(Slabs::count(now_ns, connections)).memory
    }

    /// Takes a sample if one is due.
    pub(crate) fn sample_if_due(&mut self, connections: u64, messages: u64) {
        let (now, server, loader) = self.read_cpu();
        if now < self.due_ns {
            return;
        }
        // With very many sockets the kernel takes long to count its slabs.
        let factor = if connections > MANY_CONNECTIONS { 8 } else { 1 };
        self.due_ns = now + factor * self.interval_ns;
        let since = now.saturating_sub(self.last.0).max(1) as f64;
        let memory = self.read_kernel(now, connections);
        self.samples.push(Sample {
            at_s: seconds(now),
            connections,
            messages,
            server_cpus: self.server.map(|_| server.since(self.last.1).total_ns() / since),
            loader_cpus: loader.since(self.last.2).total_ns() / since,
            server_bytes: self.server.and_then(|pid| resident_bytes_about(pid).ok()),
            slab_bytes: Some(memory.slab_bytes).filter(|bytes| *bytes > 0),
            tcp_bytes: memory.tcp_bytes,
            available_bytes: memory.available_bytes,
        });
        self.last = (now, server, loader);
        if self.samples.len() >= SAMPLES_MAX {
            let mut index = 0;
            self.samples.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.interval_ns *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_are_counted_again_when_connections_change_or_time_passes() {
        let slabs = Slabs { at_ns: 5, connections: 7, memory: KernelMemory::default() };
        assert!(slabs.are_fresh(5 + SLABS_NS - 1, 7));
        assert!(!slabs.are_fresh(6, 8));
        assert!(!slabs.are_fresh(5 + SLABS_NS, 7));
    }
}
