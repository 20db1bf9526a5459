//! Every query of the dashboard and of the alerts has data when a real Prometheus scrapes a real
//! server with the configuration of compose.yaml.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use testkit::client::{Client, text};
use testkit::process::Process;
use throng::config::Backend;

use crate::prometheus::{alerts, dashboard, packaged, panels, promtool};
use crate::support::{Scratch, comes_to_hold, free_port, server, skip};

/// Every expression that the dashboard or an alert asks for, so that it gives data whatever holds:
/// comparisons give 0 or 1, and what was ten minutes ago is what was a second ago.
fn expressions() -> Vec<String> {
    let dashboard = dashboard();
    let targets = panels(&dashboard).iter().flat_map(|panel| panel["targets"].as_array());
    let of_panels = targets.flatten().map(|target| &target["expr"]);
    let of_notes = dashboard["annotations"]["list"].as_array().expect("it has annotations");
    let of_notes = of_notes.iter().map(|note| &note["expr"]);
    let of_grafana = of_panels.chain(of_notes).map(|expression| {
        let expression = expression.as_str().expect("it has an expression").to_owned();
        [("$__rate_interval", "10s"), ("$job", ".+"), ("$instance", ".+")]
            .iter()
            .fold(expression, |expression, (from, to)| expression.replace(from, to))
    });
    let all = of_grafana.chain(alerts().into_iter().map(|(_, expression)| expression));
    let with_data = |expression: String| {
        let comparisons = [(" == ", " == bool "), (" > ", " > bool "), (" < ", " < bool ")];
        let changes = comparisons.iter().chain(&[("offset 10m", "offset 1s")]);
        changes.fold(expression, |expression, (from, to)| expression.replace(from, to))
    };
    all.map(with_data).collect()
}

/// A Prometheus that runs; it is killed when this is dropped.
struct Prometheus {
    process: Child,
    url: String,
    _files: Scratch,
}

impl Prometheus {
    /// With the configuration of compose.yaml but for addresses and paths, and in haste.
    fn scraping(operator: &str, key: &Path) -> Option<Self> {
        let files = Scratch::new();
        let mut config = packaged("prometheus.yml");
        let key = key.to_str().expect("it is UTF-8");
        for (from, to) in [
            ("throng:8081", operator),
            ("/run/secrets/operator-key", key),
            ("scrape_interval: 10s", "scrape_interval: 1s"),
            ("evaluation_interval: 10s", "evaluation_interval: 1s"),
        ] {
            assert!(config.contains(from), "prometheus.yml has no {from}");
            config = config.replace(from, to);
        }
        fs::write(files.path().join("alerts.yml"), packaged("alerts.yml")).expect("it is ours");
        let path = files.path().join("prometheus.yml");
        fs::write(&path, config).expect("it is ours");
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", path.display()));
        command.arg(format!("--storage.tsdb.path={}", files.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(process) = started.spawn() else {
            skip("no prometheus here; install with: scripts/install-test-tools.sh");
            return None;
        };
        Some(Self { process, url: format!("http://{address}"), _files: files })
    }

    /// Whether an expression has data; an error, such as before it listens, has none.
    fn has_data(&self, expression: &str) -> bool {
        let answer = promtool(&["query", "instant", &self.url, expression], None);
        let answer = answer.expect("it comes with prometheus");
        answer.is_ok_and(|lines| !lines.trim().is_empty())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself, which a test has seen.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where the port for operators is, as the log tells.
fn operator(server: &Process) -> String {
    let log = server.log();
    let behind = log.split_once("operator port on http://").expect("the log tells it").1;
    behind.split_ascii_whitespace().next().expect("an address follows").to_owned()
}

#[test]
fn every_query_has_data_when_prometheus_scrapes_a_server_that_works() {
    let files = Scratch::new();
    let key = files.path().join("operator.key");
    fs::write(&key, "6f70656e20736573616d65\n").expect("it is ours");
    let key_file = key.to_str().expect("it is UTF-8");
    let server =
        server(Backend::Auto, &["--operator", "127.0.0.1:0", "--operator-key-file", key_file]);
    let operator = operator(&server);
    let Some(prometheus) = Prometheus::scraping(&operator, &key) else { return };
    let mut room: [Client; 8] = crate::support::clients(server.address(), "/room/a");
    let mut speak = || {
        room[0].write(&text("hello"));
        room.iter_mut().for_each(|client| drop(client.frame()));
    };
    for expression in expressions() {
        let has_data = || {
            speak();
            prometheus.has_data(&expression)
        };
        assert!(comes_to_hold(has_data), "no data for: {expression}");
    }
    assert!(prometheus.has_data("up{job=\"throng\"} == 1"), "the key was taken");
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let server = server(Backend::Auto, &["--operator", "127.0.0.1:0"]);
    let url = format!("http://{}/metrics", operator(&server));
    let output = Command::new("curl").args(["--silent", "--fail", &url]).output();
    let output = output.expect("curl is there");
    assert!(output.status.success(), "{url}");
    let metrics = String::from_utf8(output.stdout).expect("it is text");
    let Some(outcome) = promtool(&["check", "metrics"], Some(&metrics)) else { return };
    let complaints = outcome.unwrap_or_else(|text| panic!("{text}"));
    assert_eq!(complaints.trim(), "", "{metrics}");
}
