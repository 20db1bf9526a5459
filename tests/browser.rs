//! Our pages in a real browser, on both backends: `tests/browser/chat.mjs` tells the story of the
//! chat, and `tests/browser/dashboard.mjs` that of the operator's dashboard.
//!
//! Needs node, Chromium and the packages of `tests/browser`; `scripts/install-test-tools.sh`
//! installs them. Without them the tests say so and pass, unless `THRONG_TEST_REQUIRE_ALL=1`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::process::Launch;
use throng::driver::uring;

/// Longer than the script gives itself, so that the script cleans up.
const TIME_LIMIT: Duration = Duration::from_secs(180);

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/browser");

#[test]
fn epoll() {
    run("chat.mjs", "epoll", &[]);
}

#[test]
fn io_uring() {
    match uring::probe() {
        Ok(_) => run("chat.mjs", "io_uring", &[]),
        Err(reason) => skip(&format!("io_uring does not work here: {reason}")),
    }
}

#[test]
fn dashboard_on_epoll() {
    dashboard_on("epoll");
}

#[test]
fn dashboard_on_io_uring() {
    match uring::probe() {
        Ok(_) => dashboard_on("io_uring"),
        Err(reason) => skip(&format!("io_uring does not work here: {reason}")),
    }
}

/// Leaves a picture of it in the folder of what is built.
fn dashboard_on(backend: &str) {
    let picture = format!("{}/dashboard-{backend}.png", env!("CARGO_TARGET_TMPDIR"));
    run("dashboard.mjs", backend, &[&picture]);
}

fn run(script: &str, backend: &str, arguments: &[&str]) {
    let missing = missing_tools();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return skip(&format!("no {missing} here; install with: scripts/install-test-tools.sh"));
    }
    let script = format!("{FOLDER}/{script}");
    let first = [script.as_str(), env!("CARGO_BIN_EXE_throng"), backend];
    let launch = Launch::new("node").args(first).args(arguments);
    let finished = launch.run(TIME_LIMIT);
    print!("{}", finished.stdout);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

fn missing_tools() -> Vec<&'static str> {
    let chromium =
        std::env::var_os("CHROMIUM").unwrap_or_else(|| OsString::from("/usr/bin/chromium"));
    let packages = Path::new(FOLDER).join("node_modules/playwright-core");
    let tools = [
        ("node", has_node()),
        ("chromium", Path::new(&chromium).exists()),
        ("tests/browser/node_modules/playwright-core", packages.exists()),
    ];
    tools.into_iter().filter(|(_, is_here)| !is_here).map(|(name, _)| name).collect()
}

fn has_node() -> bool {
    let version = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// Tells that a test is left out, past the harness, which hides what passing tests print.
fn skip(reason: &str) {
    let must_run = std::env::var_os("THRONG_TEST_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!must_run, "THRONG_TEST_REQUIRE_ALL=1, but {reason}");
    writeln!(io::stderr(), "SKIPPED: browser: {reason}").expect("standard error is open");
}
