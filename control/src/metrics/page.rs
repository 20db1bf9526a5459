//! The page docs/metrics.md, which is written from the tables.

use super::definition::Definition;
use super::definitions;

const HEAD: &str = "# Metrics

What `/metrics` of the operator's port tells, as Prometheus reads it. This page is written from the
table that the program answers by: `THRONG_WRITE_DOCS=1 cargo test -p throng-control metrics`.

A worker is one thread with its own connections; the sum over `worker` is the server's. The share of
its time that a worker is busy is `rate(throng_worker_cpu_seconds_total[1m])`. What a host hides
(/proc in some containers) is not there.

| name | type | labels | unit | meaning |
|---|---|---|---|---|
";

/// What `/metrics` tells, in Markdown: docs/metrics.md.
#[must_use]
pub fn metrics_page() -> String {
    HEAD.to_owned() + &definitions().map(row).collect::<String>()
}

fn row(metric: &Definition) -> String {
    let Definition { name, kind, labels, unit, help, .. } = metric;
    let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
    format!("| `{name}` | {} | {} | {unit} | {help} |\n", kind.name(), labels.join(", "))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");

    #[test]
    fn the_page_of_metrics_says_what_the_tables_say() {
        let page = metrics_page();
        if std::env::var_os("THRONG_WRITE_DOCS").is_some() {
            fs::write(PATH, &page).expect("the folder is ours");
        }
        let written = fs::read_to_string(PATH).expect("it is there");
        assert!(written == page, "write it: THRONG_WRITE_DOCS=1 cargo test -p throng-control");
    }
}
