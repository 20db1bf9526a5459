//! Metrics of the process, and of the kernel for its sockets.

use super::definition::{Definition, Kind};

/// See the module.
pub(super) static HOST: &[Definition] = &[
    Definition {
        name: "throng_kernel_tcp_memory_bytes",
        kind: Kind::Gauge,
        labels: &[],
        unit: "bytes",
        help: "Buffers of all TCP sockets of the network namespace, in the kernel: what \
               no process is charged for.",
        read: |view, values| values.single(view.sample.tcp.map(|tcp| tcp.bytes as f64)),
    },
    Definition {
        name: "throng_kernel_tcp_memory_limit_bytes",
        kind: Kind::Gauge,
        labels: &[],
        unit: "bytes",
        help: "Where the kernel begins to drop (`net.ipv4.tcp_mem`).",
        read: |view, values| {
            values.single(view.sample.tcp.and_then(|tcp| Some(tcp.limit_bytes? as f64)))
        },
    },
    Definition {
        name: "throng_kernel_tcp_sockets",
        kind: Kind::Gauge,
        labels: &["state"],
        unit: "sockets",
        help: "TCP sockets of the network namespace: connected or listening, without a \
               process, in TIME_WAIT.",
        read: |view, values| {
            let Some(tcp) = view.sample.tcp else { return };
            values.push(&["in_use"], tcp.in_use as f64);
            values.push(&["orphan"], tcp.orphans as f64);
            values.push(&["time_wait"], tcp.time_wait as f64);
        },
    },
    Definition {
        name: "process_cpu_seconds_total",
        kind: Kind::Counter,
        labels: &[],
        unit: "seconds",
        help: "CPU time of the process.",
        read: |view, values| values.single(view.sample.process.cpu_seconds),
    },
    Definition {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        labels: &[],
        unit: "bytes",
        help: "Resident memory.",
        read: |view, values| {
            values.single(view.sample.process.resident_bytes.map(|bytes| bytes as f64))
        },
    },
    Definition {
        name: "process_virtual_memory_bytes",
        kind: Kind::Gauge,
        labels: &[],
        unit: "bytes",
        help: "Virtual memory.",
        read: |view, values| {
            values.single(view.sample.process.virtual_bytes.map(|bytes| bytes as f64))
        },
    },
    Definition {
        name: "process_open_fds",
        kind: Kind::Gauge,
        labels: &[],
        unit: "descriptors",
        help: "Descriptors of the fullest table: each worker has one of its own, and the \
               limit is of each.",
        read: |view, values| values.single(view.sample.process.open_fds.map(|fds| fds as f64)),
    },
    Definition {
        name: "process_max_fds",
        kind: Kind::Gauge,
        labels: &[],
        unit: "descriptors",
        help: "The limit of each table.",
        read: |view, values| values.single(view.sample.process.max_fds.map(|fds| fds as f64)),
    },
    Definition {
        name: "process_threads",
        kind: Kind::Gauge,
        labels: &[],
        unit: "threads",
        help: "Threads of the process.",
        read: |view, values| {
            values.single(view.sample.process.threads.map(|threads| threads as f64))
        },
    },
    Definition {
        name: "process_start_time_seconds",
        kind: Kind::Gauge,
        labels: &[],
        unit: "seconds",
        help: "When the process started, since 1970.",
        read: |view, values| values.single(view.sample.process.started),
    },
];
