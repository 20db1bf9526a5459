//! What the dashboard shows of a moment: counts since the start, of which the page takes
//! differences.

use std::time::Duration;

use serde::Serialize;
use throng::hub::TopicInfo;
use throng::server::Monitor;
use throng::stats::{BUCKETS, Counts, Histogram};
use tokio::time::Instant;

use crate::sample::Sample;
use crate::state::Server;

/// Rooms that are shown.
const ROOMS_SHOWN: usize = 10;

/// With more rooms than this they are looked through less often.
const ROOMS_MANY: u64 = 50_000;
const ROOMS_INTERVAL: Duration = Duration::from_secs(10);

/// The slowest rooms, and when they were looked for.
#[derive(Debug, Default)]
pub(super) struct Figures {
    rooms: Vec<Room>,
    looked_at: Option<Instant>,
}

#[derive(Debug, Serialize)]
struct Moment<'a> {
    /// Seconds since the port began to serve.
    at: f64,
    version: &'static str,
    backend: &'static str,
    addresses: Vec<String>,
    draining: bool,
    connections: u64,
    websockets: u64,
    connections_max: usize,
    received: u64,
    delivered: u64,
    bytes_received: u64,
    bytes_sent: u64,
    refused: u64,
    slow: u64,
    fanout: Fanout,
    memory: Memory,
    workers: Vec<Worker>,
    rooms: &'a [Room],
}

/// How long fan-outs took: counts by upper bounds in seconds, and one more without a bound.
#[derive(Debug, Serialize)]
struct Fanout {
    bounds: Vec<f64>,
    counts: [u64; BUCKETS + 1],
}

#[derive(Debug, Serialize)]
struct Memory {
    allocated: usize,
    budget: Option<usize>,
    resident: Option<u64>,
    kernel: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Worker {
    connections: u64,
    /// Seconds.
    cpu: Option<f64>,
    queued_bytes: Option<u64>,
    mailbox: usize,
}

#[derive(Debug, Serialize)]
struct Room {
    room: String,
    members: u32,
    seconds: f64,
}

impl Figures {
    /// Those of this moment.
    pub(super) async fn json(&mut self, server: &Server) -> String {
        let sample = server.samples.latest(server).await;
        self.look_for_rooms(&server.monitor, &sample);
        let moment = moment(server, &sample, &self.rooms);
        serde_json::to_string(&moment).expect("our own values have text keys")
    }

    fn look_for_rooms(&mut self, monitor: &Monitor, sample: &Sample) {
        let totals = sample.workers.iter().filter_map(|worker| worker.totals);
        let are_many = totals.map(|totals| totals.topics).max() > Some(ROOMS_MANY);
        let is_recent = |at: Instant| at.elapsed() < ROOMS_INTERVAL;
        if !(are_many && self.looked_at.is_some_and(is_recent)) {
            self.looked_at = Some(Instant::now());
            self.rooms = slowest(monitor.topics());
        }
    }
}

/// The slowest rooms, the slowest first.
fn slowest(topics: Vec<TopicInfo>) -> Vec<Room> {
    let mut rooms: Vec<(u32, TopicInfo)> =
        topics.into_iter().filter_map(|topic| Some((topic.fanout_micros?, topic))).collect();
    let slower = |a: &(u32, TopicInfo), b: &(u32, TopicInfo)| b.0.cmp(&a.0);
    if rooms.len() > ROOMS_SHOWN {
        rooms.select_nth_unstable_by(ROOMS_SHOWN - 1, slower);
        rooms.truncate(ROOMS_SHOWN);
    }
    rooms.sort_by(slower);
    let room = |(micros, topic): (u32, TopicInfo)| {
        let seconds = f64::from(micros) / 1e6;
        Room { room: topic.name, members: topic.members, seconds }
    };
    rooms.into_iter().map(room).collect()
}

fn moment<'a>(server: &Server, sample: &Sample, rooms: &'a [Room]) -> Moment<'a> {
    let monitor = &server.monitor;
    let counts = monitor.counts();
    let Counts { messages_received, messages_delivered, .. } = counts;
    let facts = monitor.facts();
    let totals = sample.workers.iter().filter_map(|worker| worker.totals);
    let websockets = totals.map(|totals| totals.websockets);
    Moment {
        at: server.began.elapsed().as_secs_f64(),
        version: env!("CARGO_PKG_VERSION"),
        backend: facts.backend.name(),
        addresses: facts.addresses.iter().map(ToString::to_string).collect(),
        draining: monitor.is_stopping(),
        connections: counts.connections(),
        websockets: websockets.sum(),
        connections_max: monitor.connections_max(),
        received: messages_received,
        delivered: messages_delivered,
        bytes_received: counts.bytes_received,
        bytes_sent: counts.bytes_sent,
        refused: counts.refused + counts.turned_away,
        slow: counts.closed_slow,
        fanout: fanout(monitor),
        memory: memory(monitor, sample),
        workers: workers(monitor, sample),
        rooms,
    }
}

fn fanout(monitor: &Monitor) -> Fanout {
    let mut sums = [0; BUCKETS + 1];
    for counters in monitor.counters() {
        let counts = counters.fanout_micros.counts();
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    Fanout { bounds: bounds(&monitor.counters()[0].fanout_micros), counts: sums }
}

fn bounds<const FIRST: u64>(_: &Histogram<FIRST>) -> Vec<f64> {
    Histogram::<FIRST>::bounds().map(|micros| micros as f64 / 1e6).collect()
}

fn memory(monitor: &Monitor, sample: &Sample) -> Memory {
    let memory = monitor.memory();
    Memory {
        allocated: memory.in_use,
        budget: memory.budget,
        resident: sample.process.resident_bytes,
        kernel: sample.tcp.map(|tcp| tcp.bytes),
    }
}

fn workers(monitor: &Monitor, sample: &Sample) -> Vec<Worker> {
    let both = monitor.counters().iter().zip(&sample.workers);
    both.map(|(counters, sample)| Worker {
        connections: counters.accepted.get().saturating_sub(counters.closed.get()),
        cpu: sample.cpu.map(|cpu| cpu.as_secs_f64()),
        queued_bytes: sample.totals.map(|totals| totals.queued_bytes),
        mailbox: sample.mailbox.0,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_rooms_come_first_and_silent_ones_not_at_all() {
        let topic = |at: u32| TopicInfo {
            name: at.to_string(),
            members: 1,
            fanout_micros: (!at.is_multiple_of(3)).then_some(at),
            dropped: 0,
        };
        let rooms = slowest((0..40).map(topic).collect());
        let names: Vec<_> = rooms.iter().map(|room| &*room.room).collect();
        assert_eq!(names, ["38", "37", "35", "34", "32", "31", "29", "28", "26", "25"]);
    }
}
