//! What Prometheus and Grafana read in packaging/: alerts that fire when they should and not
//! before, and a dashboard that Grafana takes.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::embedders::ROOT;
use crate::support::{Scratch, skip};

/// A file of packaging/.
pub(crate) fn packaged(name: &str) -> String {
    fs::read_to_string(format!("{ROOT}/packaging/{name}")).expect("it is there")
}

/// What promtool prints; nothing if it is not installed.
pub(crate) fn promtool(args: &[&str], input: Option<&str>) -> Option<Result<String, String>> {
    let scratch = Scratch::new();
    let path = scratch.path().join("input");
    fs::write(&path, input.unwrap_or_default()).expect("it is ours");
    let input = fs::File::open(path).expect("it was just written");
    let Ok(output) = Command::new("promtool").args(args).stdin(input).output() else {
        skip("no promtool here; install with: scripts/install-test-tools.sh");
        return None;
    };
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(if output.status.success() { Ok(stdout) } else { Err(stdout + &stderr) })
}

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    let tests = format!("{ROOT}/packaging/alerts_test.yml");
    let Some(outcome) = promtool(&["test", "rules", &tests], None) else { return };
    outcome.unwrap_or_else(|text| panic!("{text}"));
    let tests = packaged("alerts_test.yml");
    for name in alerts().into_iter().map(|(name, _)| name) {
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "nothing makes {name} fire");
    }
}

/// The alerts' names and expressions, each of which stands in one line.
pub(crate) fn alerts() -> Vec<(String, String)> {
    let file = packaged("alerts.yml");
    let values = |key: &str| -> Vec<String> {
        let lines = file.lines().filter_map(|line| line.trim().strip_prefix(key));
        lines.map(|value| value.trim().to_owned()).collect()
    };
    let (names, expressions) = (values("- alert:"), values("expr:"));
    assert_eq!(names.len(), expressions.len());
    assert!(names.len() > 5, "{names:?}");
    names.into_iter().zip(expressions).collect()
}

pub(crate) fn dashboard() -> Value {
    serde_json::from_str(&packaged("grafana.json")).expect("it is JSON")
}

pub(crate) fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().expect("it has panels")
}

#[test]
fn the_dashboard_is_one_that_grafana_takes() {
    let dashboard = dashboard();
    assert_eq!(dashboard["title"], "Throng");
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 36));
    let variables = dashboard["templating"]["list"].as_array().expect("it has variables");
    let names: Vec<&str> = variables.iter().filter_map(|v| v["name"].as_str()).collect();
    assert_eq!(names, ["datasource", "job", "instance"]);
    let mut taken = Vec::new();
    for (number, panel) in panels(&dashboard).iter().enumerate() {
        assert_eq!(panel["id"], number + 1, "ids are unique");
        assert_eq!(panel["datasource"]["uid"], "${datasource}");
        assert!(panel["title"].is_string() && panel["description"].is_string(), "{panel}");
        assert!(panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()));
        let place = |key: &str| panel["gridPos"][key].as_u64().expect("it has a place");
        let (x, y, w, h) = (place("x"), place("y"), place("w"), place("h"));
        assert!(x + w <= 24, "the grid has 24 columns");
        let cells = (y..y + h).flat_map(|row| (x..x + w).map(move |column| (row, column)));
        taken.extend(cells);
    }
    let count = taken.len();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), count, "no two panels overlap");
}
