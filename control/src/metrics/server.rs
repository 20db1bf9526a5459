//! Metrics of the server as a whole.

use std::collections::BTreeMap;

use throng::stats::{Counters, Ending, Refusal};

use super::definition::{Definition, Kind, total};

/// See the module.
pub(super) static SERVER: &[Definition] = &[
    Definition {
        name: "throng_build_info",
        kind: Kind::Gauge,
        labels: &["version", "backend"],
        unit: "",
        help: "1, with what runs here.",
        read: |view, values| {
            let backend = view.monitor.facts().backend.name();
            values.push(&[env!("CARGO_PKG_VERSION"), backend], 1.0);
        },
    },
    Definition {
        name: "throng_connections_max",
        kind: Kind::Gauge,
        labels: &[],
        unit: "connections",
        help: "How many fit; more get a 503.",
        read: |view, values| values.single(Some(view.monitor.connections_max() as f64)),
    },
    Definition {
        name: "throng_draining",
        kind: Kind::Gauge,
        labels: &[],
        unit: "",
        help: "1 from when the server has begun to stop.",
        read: |view, values| values.single(Some(f64::from(u8::from(view.monitor.is_stopping())))),
    },
    Definition {
        name: "throng_memory_bytes",
        kind: Kind::Gauge,
        labels: &[],
        unit: "bytes",
        help: "What the process has allocated since its start; the kernel's memory is not \
               in it.",
        read: |view, values| values.single(Some(view.monitor.memory().in_use as f64)),
    },
    Definition {
        name: "throng_memory_budget_bytes",
        kind: Kind::Gauge,
        labels: &[],
        unit: "bytes",
        help: "What it may allocate (`--memory`); without a bound it is not there.",
        read: |view, values| values.single(view.monitor.memory().budget.map(|bytes| bytes as f64)),
    },
    Definition {
        name: "throng_refused_total",
        kind: Kind::Counter,
        labels: &["reason"],
        unit: "refusals",
        help: "Connections and requests that were refused.",
        read: |view, values| {
            for reason in Refusal::ALL {
                let count = total(view, |counters| counters.refusals.of(*reason).get());
                values.push(&[reason.name()], count);
            }
        },
    },
    Definition {
        name: "throng_websockets_closed_total",
        kind: Kind::Counter,
        labels: &["reason"],
        unit: "connections",
        help: "WebSocket connections that have ended, each under one reason.",
        read: |view, values| {
            for reason in Ending::ALL {
                let count = total(view, |counters| counters.endings.of(*reason).get());
                values.push(&[reason.name()], count);
            }
        },
    },
    Definition {
        name: "throng_close_codes_total",
        kind: Kind::Counter,
        labels: &["code"],
        unit: "connections",
        help: "The same by the code of the first close frame, from whichever side; 1005 \
               is a frame without a code, 1006 an end without a frame, `other` all that \
               have no count of their own.",
        read: |view, values| {
            let mut counts = BTreeMap::new();
            for counters in view.monitor.counters() {
                for (code, count) in counters.close_codes.iter() {
                    *counts.entry(code).or_insert(0) += count;
                }
            }
            counts.into_iter().for_each(|(code, count)| values.push(&[code], count as f64));
        },
    },
    Definition {
        name: "throng_slow_consumers_total",
        kind: Kind::Counter,
        labels: &["outcome"],
        unit: "connections",
        help: "Receivers that did not keep up, by what came of it.",
        read: |view, values| {
            values.push(&["disconnected"], total(view, |counters| counters.closed_slow.get()))
        },
    },
    Definition {
        name: "throng_messages_dropped_total",
        kind: Kind::Counter,
        labels: &["policy"],
        unit: "messages",
        help: "Messages that a receiver did not get because it did not keep up, by the \
               policy of the topic.",
        read: |view, values| {
            let count = |of: fn(&Counters) -> u64| total(view, of);
            values.push(&["drop_oldest"], count(|counters| counters.dropped_oldest.get()));
            values.push(&["latest"], count(|counters| counters.dropped_latest.get()));
        },
    },
    Definition {
        name: "throng_addresses_untracked_total",
        kind: Kind::Counter,
        labels: &[],
        unit: "connections",
        help: "Connections that were let in and not counted for their address \
               (`limits.per_ip`), as the table of addresses had no room.",
        read: |view, values| {
            values.single(Some(total(view, |counters| counters.addresses_untracked.get())));
        },
    },
    Definition {
        name: "throng_operator_responses_total",
        kind: Kind::Counter,
        labels: &["class"],
        unit: "responses",
        help: "Responses of the operator's port, by the class of their status; `2xx` are \
               all below 400.",
        read: |view, values| {
            view.responses.iter().for_each(|(class, count)| values.push(&[class], *count as f64));
        },
    },
];
