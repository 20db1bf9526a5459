//! What Prometheus reads.

use std::collections::{BTreeMap, BTreeSet};

use testkit::client::{Client, text};
use throng::config::Backend;

use super::Operated;
use crate::support::comes_to_hold;

on_both!(what_is_scraped_and_what_is_documented_are_the_same, what_clients_do_is_counted,);

/// Names of families with their types and labels, as the page of metrics has them.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let page = include_str!("../../../docs/metrics.md");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let name = cells.next()?.trim_matches('`').to_owned();
        let kind = cells.next()?.to_owned();
        let labels = cells.next()?.split(", ").map(|label| label.trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        Some((name, (kind, labels)))
    };
    page.lines().filter_map(row).collect()
}

/// The same of what was scraped.
fn scraped(scrape: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut families = BTreeMap::new();
    for line in scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a name and a type");
        families.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
    }
    for line in scrape.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().expect("a name");
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let family = base.filter(|base| families.contains_key(*base)).unwrap_or(name);
        let (_, known) = families.get_mut(family).expect("a value has a family before it");
        let inner = line.split_once('{').map_or("", |(_, rest)| rest);
        let labels = inner.split("=\"").filter_map(|part| part.rsplit([',', '{', '"']).next());
        let labels = labels.filter(|label| label.chars().all(|c| c.is_ascii_lowercase()));
        known.extend(labels.filter(|label| !label.is_empty() && *label != "le").map(str::to_owned));
    }
    families
}

/// The sum of a metric's values, of those lines that hold a text.
fn sum(server: &Operated, name: &str, holds: &str) -> f64 {
    let scrape = String::from_utf8(server.get("/metrics").body).expect("it is text");
    let is_meant = |line: &&str| line.starts_with(name) && line.contains(holds);
    let value = |line: &str| line.rsplit(' ').next().and_then(|word| word.parse::<f64>().ok());
    scrape.lines().filter(is_meant).filter_map(value).sum()
}

fn what_is_scraped_and_what_is_documented_are_the_same(backend: Backend) {
    let server = Operated::start(backend, &["--workers", "2", "--memory", "1GiB"]);
    let _client = server.client("/room/a");
    let response = server.get("/metrics");
    assert_eq!(response.field("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let scrape = String::from_utf8(response.body).expect("it is text");
    let (mut documented, scraped) = (documented(), scraped(&scrape));
    // The kernel shows it in its first network namespace only.
    if !std::path::Path::new("/proc/sys/net/ipv4/tcp_mem").exists() {
        documented.remove("throng_kernel_tcp_memory_limit_bytes");
    }
    assert!(scraped.len() > 40, "{scrape}");
    assert_eq!(documented, scraped);
}

fn what_clients_do_is_counted(backend: Backend) {
    let server = Operated::start(backend, &["--workers", "2"]);
    let mut members: Vec<Client> = (0..10).map(|_| server.client("/room/a")).collect();
    members[0].write(&text("hello"));
    for member in &mut members {
        assert_eq!(member.frame().payload, b"hello");
    }
    let comes = |name: &str, holds: &str, value: f64| {
        // What is sampled is up to a second old.
        let holds_now = || sum(&server, name, holds) == value;
        assert!(comes_to_hold(holds_now), "{name}{holds} is no {value}");
    };
    comes("throng_connections{", "", 10.0);
    comes("throng_websockets{", "", 10.0);
    comes("throng_messages_received_total{", "", 1.0);
    comes("throng_messages_delivered_total{", "", 10.0);
    assert!(sum(&server, "throng_fanout_seconds_count{", "") >= 1.0);
    assert!(sum(&server, "throng_worker_cpu_seconds_total{", "") > 0.0);
    assert!(sum(&server, "process_resident_memory_bytes", "") > 1e6);
    members.truncate(4);
    comes("throng_connections{", "", 4.0);
    comes("throng_websockets_closed_total{", "disconnected", 6.0);
    comes("throng_refused_total{", "not_found", 0.0);
    let mut stranger = Client::connect(server.process.address()).expect("it listens");
    stranger.write(testkit::client::handshake("/nowhere", &[]).as_bytes());
    assert_eq!(stranger.response().status, 404);
    comes("throng_refused_total{", "not_found", 1.0);
}
