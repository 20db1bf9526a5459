//! What connections cost in memory, in user space and in the kernel.

use super::model::{Report, Section};
use crate::engine::calibration::LoaderEnd;
use crate::measure::memory::MemoryState;

/// Connections from which on memory per connection says something.
pub(crate) const SLOPE_CONNECTIONS_MIN: u64 = 2000;

/// The same for the kernel's memory, which others on the machine use too.
pub(crate) const KERNEL_CONNECTIONS_MIN: u64 = 20_000;

/// What to say where the server's memory is not known.
pub(crate) const SERVER_NOT_KNOWN: &str = "server, resident (--spawn or --server-pid tells)";

/// Memory with no, some and all connections.
#[derive(Clone, Debug)]
pub(crate) struct States {
    pub(crate) none: MemoryState,
    pub(crate) part: MemoryState,
    pub(crate) all: MemoryState,
    /// What went before each was read.
    pub(crate) after: String,
}

/// Adds memory per connection.
pub(crate) fn tell(report: &mut Report, states: &States, loader_end: Option<LoaderEnd>) {
    let all = &states.all;
    let section = report.section(&format!("Memory, read after {}", states.after));
    server(section, states);
    kernel(section, states, loader_end);
    section.tell("memory_available", "left on the machine", all.kernel.available_bytes as f64, "B");
}

fn server(section: &mut Section, states: &States) {
    let States { none, part, all, .. } = states;
    let known = (none.server_bytes, part.server_bytes, all.server_bytes);
    let (Some(of_none), Some(of_part), Some(of_all)) = known else {
        return section.not_known(SERVER_NOT_KNOWN);
    };
    let [of_none, of_part, of_all] = [of_none, of_part, of_all].map(|bytes| bytes as f64);
    section.cost("server_rss_none", "server, resident, without connections", of_none, "B");
    section.cost("server_rss_all", "server, resident, all open", of_all, "B");
    let connections = all.connections;
    if connections < SLOPE_CONNECTIONS_MIN {
        return;
    }
    let each = (of_all - of_none).max(0.0) / connections as f64;
    section.cost("server_rss_per_connection", "server, resident, per connection", each, "B");
    let slope = (of_all - of_part) / connections.saturating_sub(part.connections).max(1) as f64;
    let label = format!("  slope from {} to {connections}", part.connections);
    section.cost("server_rss_slope", &label, slope, "B");
}

fn kernel(section: &mut Section, states: &States, loader_end: Option<LoaderEnd>) {
    let States { none, part, all, .. } = states;
    let connections = all.connections;
    // The kernel keeps what earlier programs have freed and takes it first, so the slope is exact
    // and the difference to no connections is not.
    let slab = all.kernel.slab_bytes.saturating_sub(part.kernel.slab_bytes) as f64;
    let slab = slab / connections.saturating_sub(part.connections).max(1) as f64;
    if connections < KERNEL_CONNECTIONS_MIN || slab <= 0.0 {
        return;
    }
    section.cost("kernel_pair", "kernel, slabs, both ends of a connection", slab, "B");
    if let Some(end) = loader_end {
        let label = "  the loader's end, measured without a server";
        section.tell("kernel_loader_end", label, end.bytes, "B");
        let server = slab - end.bytes;
        section.cost("kernel_server_end", "  the server's end, the rest", server, "B");
    }
    let tcp = all.kernel.tcp_bytes as f64 / connections as f64;
    section.cost("kernel_tcp_memory", "kernel, waiting in sockets, both ends", tcp, "B");
    let tables = all.kernel.page_table_bytes.saturating_sub(none.kernel.page_table_bytes) as f64;
    section.tell("kernel_page_tables", "kernel, page tables of all processes", tables, "B");
}

/// Adds the server's memory at some moments, each with its id and label.
pub(crate) fn moments(report: &mut Report, moments: [(&str, &str, Option<u64>); 3]) {
    let section = report.section("Server memory");
    if moments.iter().any(|(.., bytes)| bytes.is_none()) {
        return section.not_known(SERVER_NOT_KNOWN);
    }
    for (id, label, bytes) in moments {
        section.cost(id, label, bytes.unwrap_or_default() as f64, "B");
    }
}

/// What the server has more than before, if both are known.
pub(crate) fn growth(before: &MemoryState, after: &MemoryState) -> Option<f64> {
    Some(after.server_bytes? as f64 - before.server_bytes? as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(bytes: [Option<u64>; 3]) -> States {
        let [none, part, all] = bytes;
        let state = |connections, server_bytes| MemoryState {
            connections,
            server_bytes,
            ..MemoryState::default()
        };
        let after = "rest".to_owned();
        States { none: state(0, none), part: state(1000, part), all: state(3000, all), after }
    }

    #[test]
    fn the_slope_leaves_out_what_a_server_needs_once() {
        let mut report = Report::default();
        tell(&mut report, &states([Some(1000), Some(101_000), Some(501_000)]), None);
        assert_eq!(report.value("server_rss_slope"), Some(200.0));
        assert_eq!(report.value("server_rss_none"), Some(1000.0));
        assert_eq!(report.sections[0].title, "Memory, read after rest");
    }

    #[test]
    fn what_is_not_known_is_no_zero() {
        let mut report = Report::default();
        tell(&mut report, &states([None; 3]), None);
        moments(&mut report, [("a", "a", Some(0)), ("b", "b", None), ("c", "c", Some(1))]);
        assert!(report.sections.iter().all(|section| section.not_known == [SERVER_NOT_KNOWN]));
        for id in ["server_rss_none", "server_rss_all", "server_rss_slope", "a", "c"] {
            assert_eq!(report.value(id), None, "{id}");
        }
    }
}
