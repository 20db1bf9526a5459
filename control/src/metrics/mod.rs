//! `/metrics`: what is counted, as Prometheus reads it.
//!
//! Each metric stands once in the tables, with its name, its type, its labels, what it means and
//! how it is read; docs/metrics.md is written from them. It never counts anything itself.

mod definition;
mod host;
mod page;
mod server;
mod workers;

pub use page::metrics_page;

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use prometheus::{Encoder, TextEncoder};

use crate::respond;
use crate::state::State;
use definition::{Definition, View};

/// All metrics, in their order.
fn definitions() -> impl Iterator<Item = &'static Definition> {
    server::SERVER.iter().chain(workers::WORKERS).chain(host::HOST)
}

/// See the module.
pub(crate) async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    if !state.options().metrics {
        let line = "metrics are switched off (operator.metrics)";
        return respond::text(StatusCode::NOT_FOUND, line);
    }
    let Some(server) = state.server() else { return respond::later("the server starts") };
    let sample = server.samples.latest(server).await;
    let view = View { monitor: &server.monitor, sample: &sample, responses: state.responses() };
    let families: Vec<_> = definitions().filter_map(|metric| metric.family(&view)).collect();
    let mut text = Vec::with_capacity(64 << 10);
    match TextEncoder::new().encode(&families, &mut text) {
        Ok(()) => respond::with(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            respond::text(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let mut names = BTreeSet::new();
        for metric in definitions() {
            let name = metric.name;
            assert!(names.insert(name), "{name} is there twice");
            let is_ours = name.starts_with("throng_") || name.starts_with("process_");
            assert!(is_ours, "{name}");
            let is_counter = metric.kind == definition::Kind::Counter;
            assert_eq!(name.ends_with("_total"), is_counter, "{name}");
            let unit = metric.unit;
            let is_base = ["bytes", "seconds"].contains(&unit);
            assert!(!is_base || name.contains(unit), "{name} names its unit");
            assert!(metric.help.ends_with('.'), "{name} has a sentence");
        }
    }
}
