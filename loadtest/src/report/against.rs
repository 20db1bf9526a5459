//! How many times the kernel's floor a result is.
//!
//! A ratio means something only if both were measured alike, so whatever differs is refused, with
//! the command that measures the floor as it is needed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use loadtest::floor::{COALESCED, Calls, Cost, Floor, WARM_UP_WRITES};

use super::model::{Host, Report};
use crate::measure::window::Spent;
use crate::options::{Common, LoaderArgs};

/// A floor to compare with.
#[derive(Clone, Debug, Args)]
pub(crate) struct Against {
    /// Compare with this floor, as `loadtest floor --json` wrote it
    #[arg(long, value_name = "FILE", requires = "floor_backend")]
    floor: Option<PathBuf>,

    /// Which of its calls the server makes
    #[arg(long, value_enum, value_name = "WHICH", requires = "floor")]
    floor_backend: Option<Backend>,
}

/// How a server calls the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Backend {
    /// send(2), recv(2) and epoll_wait(2)
    Epoll,
    IoUring,
}

/// What a scenario does, as far as the floor depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    Echo { bytes: usize, depth: u32 },
    Broadcast { bytes: usize, burst: u64, warm_up_writes: u64 },
}

/// The cost that a result is compared with.
#[derive(Clone, Debug)]
pub(crate) struct Yardstick {
    cost: Cost,
    name: String,
}

impl Against {
    /// The cost to compare with, if there is one to compare with.
    pub(crate) fn yardstick(
        &self,
        work: Work,
        common: &Common,
        host: &Host,
    ) -> Result<Option<Yardstick>, String> {
        let (Some(path), Some(backend)) = (&self.floor, self.floor_backend) else {
            return Ok(None);
        };
        if common.spawn.is_none() && common.server_pid.is_none() {
            return Err("--floor needs the server's CPU time: --spawn or --server-pid".into());
        }
        let name = path.display();
        let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        let floor: Floor = serde_json::from_str(&text)
            .map_err(|error| format!("{name} is no floor of loadtest: {error}"))?;
        if floor.processor != host.cpu_model || floor.kernel != host.kernel {
            return Err(format!("{name} was measured on another machine or kernel"));
        }
        let LoaderArgs { connections, nap, .. } = common.loader;
        find(&floor, work, backend, connections, nap).map(Some)
    }
}

fn find(
    floor: &Floor,
    work: Work,
    backend: Backend,
    connections: u64,
    nap: Duration,
) -> Result<Yardstick, String> {
    let calls = match backend {
        Backend::Epoll => floor.epoll,
        Backend::IoUring => floor.io_uring.ok_or("the floor has no figures of io_uring")?,
    };
    let (cost, name) = work.cost(&calls)?;
    let is_alike = u64::from(floor.connections) == connections
        && Duration::from_micros(floor.nap_us) == nap
        && work.is_as(floor);
    if !is_alike {
        let (options, nap) = (work.options(), nap.as_millis());
        return Err(format!(
            "the floor was measured otherwise; loadtest floor --connections {connections} \
             {options} --nap {nap}ms"
        ));
    }
    let backend = backend.to_possible_value().expect("none is left out");
    Ok(Yardstick { cost, name: format!("{}, {name}", backend.get_name()) })
}

impl Work {
    fn cost(self, calls: &Calls) -> Result<(Cost, &'static str), String> {
        match self {
            Self::Echo { .. } => Ok((calls.echo, "echo")),
            Self::Broadcast { warm_up_writes, .. } if warm_up_writes < WARM_UP_WRITES.into() => {
                Err(format!(
                    "the floor is of receivers that are warm: --warm-up-writes {WARM_UP_WRITES}"
                ))
            }
            Self::Broadcast { burst: 1, .. } => Ok((calls.single, "one message in a send")),
            Self::Broadcast { burst, .. } if burst == u64::from(COALESCED) => {
                Ok((calls.coalesced, "eight in a send"))
            }
            Self::Broadcast { .. } => Err("the floor has --burst 1 and --burst 8".into()),
        }
    }

    fn is_as(self, floor: &Floor) -> bool {
        match self {
            Self::Echo { bytes, depth } => {
                floor.echo_bytes as usize == bytes && floor.depth == depth
            }
            Self::Broadcast { bytes, .. } => floor.size_bytes as usize == bytes,
        }
    }

    /// What `loadtest floor` has to be told.
    fn options(self) -> String {
        match self {
            Self::Echo { bytes, depth } => format!("--echo-size {bytes} --depth {depth}"),
            Self::Broadcast { bytes, .. } => format!("--size {bytes}"),
        }
    }
}

impl Yardstick {
    /// Adds what the floor is, and how many times that the server took for each of `count`.
    pub(crate) fn report(&self, report: &mut Report, spent: &Spent, count: u64) {
        let Some(server) = spent.server else { return };
        let softirq_ns = spent.softirq_ns.unwrap_or_default();
        let us = (server.total_ns() + softirq_ns) / 1e3 / count.max(1) as f64;
        // Like with like: where the softirq threads are not known, they are left out of the floor.
        let floor_us = match spent.softirq_ns {
            Some(_) => self.cost.lowest_us,
            None => self.cost.thread_us(),
        };
        let section = report.section("Against the floor");
        let label = format!("the kernel alone: {}", self.name);
        section.tell("floor_us", &label, floor_us, "us");
        section.cost("floor_times", "the server takes so many times that", us / floor_us, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAP: Duration = Duration::from_millis(1);

    fn floor() -> Floor {
        let cost = |us| Cost {
            lowest_us: us + 1.0,
            median_us: us + 1.0,
            median_softirq_us: 1.0,
            user_us: 0.0,
            system_us: us,
            softirq_us: 1.0,
        };
        Floor {
            connections: 5000,
            size_bytes: 100,
            rounds: 1,
            depth: 1,
            echo_bytes: 20,
            nap_us: 1000,
            kernel: String::new(),
            processor: String::new(),
            memory_ns: 20.0,
            epoll: Calls { single: cost(6.0), coalesced: cost(1.0), echo: cost(7.0) },
            io_uring: None,
            io_uring_missing: None,
        }
    }

    fn broadcast(burst: u64, warm_up_writes: u64) -> Work {
        Work::Broadcast { bytes: 100, burst, warm_up_writes }
    }

    fn lowest(work: Work, connections: u64) -> Result<f64, String> {
        let found = find(&floor(), work, Backend::Epoll, connections, NAP)?;
        Ok(found.cost.thread_us())
    }

    #[test]
    fn each_kind_of_work_has_its_own_cost() {
        assert_eq!(lowest(broadcast(1, 16), 5000), Ok(6.0));
        assert_eq!(lowest(broadcast(8, 20), 5000), Ok(1.0));
        assert_eq!(lowest(Work::Echo { bytes: 20, depth: 1 }, 5000), Ok(7.0));
    }

    #[test]
    fn what_was_measured_otherwise_is_refused_with_the_command() {
        let error = lowest(Work::Echo { bytes: 125, depth: 16 }, 1000).expect_err("it differs");
        assert!(
            error.ends_with("--connections 1000 --echo-size 125 --depth 16 --nap 1ms"),
            "{error}"
        );
        let alone = broadcast(1, 16);
        let error = lowest(alone, 4999).expect_err("connections differ");
        assert!(error.ends_with("--connections 4999 --size 100 --nap 1ms"), "{error}");
        assert!(lowest(broadcast(3, 16), 5000).is_err());
        let error = lowest(broadcast(1, 15), 5000).expect_err("receivers are not warm");
        assert!(error.ends_with("--warm-up-writes 16"), "{error}");
        assert!(find(&floor(), alone, Backend::IoUring, 5000, NAP).is_err());
        let error = find(&floor(), alone, Backend::Epoll, 5000, Duration::ZERO);
        let error = error.expect_err("clients do not nap");
        assert!(error.ends_with("--connections 5000 --size 100 --nap 0ms"), "{error}");
    }

    #[test]
    fn a_report_has_the_floor_and_the_ratio_with_softirqs_or_without() {
        let found =
            find(&floor(), broadcast(1, 16), Backend::Epoll, 5000, NAP).expect("it is alike");
        let server = crate::measure::process::CpuSpent { user_ns: 1e6, system_ns: 5.6e6 };
        for (softirq_ns, floor_us, times) in [(None, 6.0, 1.1), (Some(1.1e6), 7.0, 1.1)] {
            let spent = Spent { server: Some(server), softirq_ns, ..Spent::default() };
            let mut report = Report::default();
            found.report(&mut report, &spent, 1000);
            let values: Vec<f64> = report.sections[0].figures.iter().map(|f| f.value).collect();
            let is_right = |(value, wanted): (&f64, f64)| (value - wanted).abs() < 1e-9;
            assert!(values.iter().zip([floor_us, times]).all(is_right), "{values:?}");
        }
    }
}
