//! The floor as numbers and as text.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::frames::COALESCED;
use super::memory;

/// What the kernel alone costs on one machine. Every cost is the CPU time of the measured thread
/// and of ksoftirqd on its processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// Connections that were sent to.
    pub connections: u32,
    /// Bytes of payload of a message that was broadcast.
    pub size_bytes: u32,
    /// Rounds of each kind.
    pub rounds: u32,
    /// Messages in flight on each connection of the echo.
    pub depth: u32,
    /// Bytes of payload of a message that was echoed.
    pub echo_bytes: u32,
    /// Microseconds that the readers slept between looks.
    pub nap_us: u64,
    /// The release of the kernel.
    pub kernel: String,
    /// The model of the processor.
    pub processor: String,
    /// Nanoseconds of an access at random within 4 MiB: 10 to 30 from a cache, 100 and more where
    /// others use it up.
    pub memory_ns: f64,
    /// send(2), recv(2) and epoll_wait(2).
    pub epoll: Calls,
    /// Requests in batches.
    pub io_uring: Option<Calls>,
    /// Why there are no figures of io_uring.
    pub io_uring_missing: Option<String>,
}

/// What one way of calling the kernel costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    /// A broadcast of one message to each connection.
    pub single: Cost,
    /// A broadcast in which [`COALESCED`] messages leave together.
    pub coalesced: Cost,
    /// Receiving a message and sending its answer.
    pub echo: Cost,
}

/// Microseconds of CPU time for one message.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The cheapest round: what a moment at rest costs.
    pub lowest_us: f64,
    /// The round in the middle; far above the lowest, the machine was not at rest.
    pub median_us: f64,
    /// The part of the median that ksoftirqd took; 0 where it is hidden.
    pub median_softirq_us: f64,
    /// The part of the lowest outside of the kernel. The kernel divides by looking at every tick,
    /// so it is right to some percent of the whole.
    pub user_us: f64,
    /// The part of the lowest inside of the kernel.
    pub system_us: f64,
    /// The part of the lowest that ksoftirqd took; 0 where it is hidden, as in most containers.
    pub softirq_us: f64,
}

impl Cost {
    /// What the lowest took of the measured thread's own time.
    #[must_use]
    pub fn thread_us(&self) -> f64 {
        self.lowest_us - self.softirq_us
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, size_bytes, rounds, depth, echo_bytes, .. } = self;
        let (kernel, processor) = (&self.kernel, &self.processor);
        writeln!(f, "The kernel's floor on {processor}, Linux {kernel}")?;
        write!(f, "{connections} connections, {rounds} rounds")?;
        if self.nap_us > 0 {
            write!(f, ", naps of {:?}", Duration::from_micros(self.nap_us))?;
        }
        writeln!(f, "; microseconds of CPU per message")?;
        writeln!(f)?;
        let title = ["", "lowest", "median", "user", "system", "softirq"];
        let [what, lowest, median, user, system, softirq] = title;
        writeln!(f, "{what:<44}{lowest:>8}{median:>8}{user:>8}{system:>8}{softirq:>8}")?;
        let ways = [("send(2)", "epoll", Some(&self.epoll))];
        let ways = ways.into_iter().chain([("io_uring", "io_uring", self.io_uring.as_ref())]);
        for (send, echo, calls) in ways {
            let Some(calls) = calls else { continue };
            let rows = [
                (format!("{send}, {size_bytes} B, one message"), calls.single),
                (format!("{send}, {size_bytes} B, {COALESCED} messages at once"), calls.coalesced),
                (format!("echo, {echo}, {echo_bytes} B, {depth} in flight"), calls.echo),
            ];
            for (what, cost) in rows {
                let Cost { lowest_us, median_us, user_us, system_us, softirq_us, .. } = cost;
                write!(f, "{what:<44}{lowest_us:>8.2}{median_us:>8.2}{user_us:>8.2}")?;
                writeln!(f, "{system_us:>8.2}{softirq_us:>8.2}")?;
            }
        }
        let (ns, mib) = (self.memory_ns, memory::BYTES >> 20);
        writeln!(f, "memory, at random within {mib} MiB: {ns:.0} ns an access")?;
        if let Some(reason) = &self.io_uring_missing {
            writeln!(f, "io_uring was not measured: {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(io_uring: Option<Calls>) -> Floor {
        Floor {
            connections: 5000,
            size_bytes: 100,
            rounds: 15,
            depth: 1,
            echo_bytes: 20,
            nap_us: 0,
            kernel: "6.18".into(),
            processor: "a processor".into(),
            memory_ns: 21.0,
            epoll: calls(6.0),
            io_uring,
            io_uring_missing: io_uring.is_none().then(|| "it is forbidden".into()),
        }
    }

    fn calls(us: f64) -> Calls {
        let cost = |us| Cost {
            lowest_us: us,
            median_us: us,
            median_softirq_us: 0.25,
            user_us: 0.0,
            system_us: us - 0.25,
            softirq_us: 0.25,
        };
        Calls { single: cost(us), coalesced: cost(us / 8.0), echo: cost(us * 2.0) }
    }

    #[test]
    fn the_threads_own_time_is_what_ksoftirqd_did_not_take() {
        assert_eq!(calls(5.0).single.thread_us(), 4.75);
    }

    #[test]
    fn the_table_has_a_line_for_each_figure_or_says_why_not() {
        let all = floor(Some(calls(5.0))).to_string();
        assert_eq!(all.lines().count(), 11, "{all}");
        assert!(all.contains("send(2), 100 B, 8 messages at once              0.75"), "{all}");
        assert!(all.contains("15 rounds; microseconds"), "{all}");
        let napping = Floor { nap_us: 1500, ..floor(None) }.to_string();
        assert!(napping.contains("15 rounds, naps of 1.5ms; microseconds"), "{napping}");
        assert!(all.ends_with("memory, at random within 4 MiB: 21 ns an access\n"), "{all}");
        let some = floor(None).to_string();
        assert_eq!(some.lines().count(), 9, "{some}");
        assert!(some.ends_with("io_uring was not measured: it is forbidden\n"), "{some}");
    }

    #[test]
    fn json_round_trips() {
        for floor in [floor(Some(calls(5.0))), floor(None)] {
            let text = serde_json::to_string(&floor).expect("it has no odd keys");
            assert_eq!(serde_json::from_str::<Floor>(&text).expect("it was just written"), floor);
        }
    }
}
