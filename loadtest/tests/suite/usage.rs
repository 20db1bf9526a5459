//! What a person sees who asks for something impossible.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use crate::support::{Throng, figure, free_port, loadtest, measure, temporary};
use serde_json::Value;

fn stderr(args: &[&str]) -> (i32, String) {
    let output = loadtest(args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("no signal has ended it"), text)
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for args in [&["echo", "--size", "x"][..], &["nothing"], &["broadcast", "--burst", "0"], &[]] {
        assert_eq!(stderr(args).0, 2, "{args:?}");
    }
    for scenario in ["echo", "broadcast", "chat", "slow", "abuse", "soak", "100k"] {
        let (code, said) = stderr(&[scenario, "--size", "19"]);
        assert_eq!((code, said.contains("20 bytes are the least")), (2, true), "{said}");
    }
    let timed = ["echo", "broadcast", "chat", "churn", "slow", "abuse", "soak", "100k"];
    for scenario in timed {
        let option = if scenario == "100k" { "--hold" } else { "--duration" };
        for option in [option, "--timeout"] {
            let (code, said) = stderr(&[scenario, option, "0s"]);
            assert_eq!((code, said.contains("above 0")), (2, true), "{scenario}: {said}");
        }
    }
}

#[test]
fn a_server_that_is_not_there_is_counted_by_kind() {
    let url = format!("ws://127.0.0.1:{}/", free_port());
    let (code, report) = measure(&["echo", "-n", "3", "--url", &url, "--duration", "100ms"]);
    assert_eq!(code, 1);
    let text = report.to_string();
    assert!(text.contains("error: connect: connection refused"), "{text}");
}

#[test]
fn what_cannot_be_started_or_watched_is_one_line() {
    let url = format!("ws://127.0.0.1:{}/", free_port());
    let (code, text) = stderr(&["echo", "--url", &url, "--spawn", "/nonexistent/server"]);
    assert_eq!(code, 1);
    assert!(text.contains("before it listened"), "{text}");
    let (code, text) = stderr(&["echo", "--url", &url, "--server-pid", "999999999"]);
    assert_eq!(code, 1);
    assert!(text.contains("no such process"), "{text}");
    let (code, text) = stderr(&["100k", "--server", "/nonexistent/server"]);
    assert_eq!(code, 1);
    assert!(text.contains("cargo build --release"), "{text}");
    let (code, text) = stderr(&["100k", "-n", "10m"]);
    assert_eq!(code, 1);
    assert!(text.contains("this host cannot do it"), "{text}");
}

#[test]
fn files_for_results_are_tried_before_the_run() {
    let url = format!("ws://127.0.0.1:{}/", free_port());
    for option in ["--json", "--html"] {
        let file = "/nonexistent/folder/file";
        let output = loadtest(&["connect", "-n", "1", "--hold", "0", "--url", &url, option, file]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("/nonexistent/folder/file: No such file"), "{said}");
        assert_eq!(output.stdout, b"", "nothing was measured");
    }
    let (code, said) = stderr(&["floor", "--json", "/nonexistent/folder/file"]);
    assert_eq!(
        (code, said.contains("/nonexistent/folder/file: No such file")),
        (1, true),
        "{said}"
    );
}

#[test]
fn a_run_that_fails_leaves_files_for_results_as_they_were() {
    let (older, fresh) = (temporary("json"), temporary("html"));
    std::fs::write(&older, "of a run before").expect("the folder is there");
    let url = format!("ws://127.0.0.1:{}/", free_port());
    let (json, html) = (older.to_string_lossy(), fresh.to_string_lossy());
    let mut args = vec!["echo", "--url", &url, "--spawn", "/nonexistent/server"];
    args.extend(["--json", &json, "--html", &html]);
    assert_eq!(stderr(&args).0, 1);
    assert_eq!(std::fs::read_to_string(&older).expect("it is there"), "of a run before");
    assert!(!fresh.exists());
    std::fs::remove_file(&older).expect("it is ours");
}

#[test]
fn a_server_that_ends_is_quoted() {
    let url = format!("ws://127.0.0.1:{}/", free_port());
    let (code, text) = stderr(&["echo", "--url", &url, "--spawn", "ls /nonexistent/file"]);
    assert_eq!(code, 1);
    assert!(text.contains("before it listened; it said last: ls: "), "{text}");
}

#[test]
fn a_signal_ends_a_run_early() {
    let server = Throng::start(&[]);
    let url = server.url("/echo");
    let args = ["echo", "-n", "3", "--url", &url, "--duration", "1h"];
    let mut child = std::process::Command::new(crate::support::LOADTEST);
    let mut child = child.args(args).stderr(std::process::Stdio::piped()).spawn().expect("built");
    let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let mut lines = lines.map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("echoing")), "it has begun");
    std::thread::spawn(move || lines.for_each(drop));
    let begin = Instant::now();
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("it runs");
    let status = child.wait().expect("it is a child of ours");
    assert_eq!(status.code(), Some(1));
    assert!(begin.elapsed() < Duration::from_secs(300), "it does not wait for the hour");
}

#[test]
fn two_reports_are_compared_unless_one_is_loader_bound() {
    let server = Throng::start(&[]);
    let url = server.url("/echo");
    let args = ["echo", "-n", "3", "--rate", "50", "--url", &url, "--duration", "300ms"];
    let (_, mut report) = measure(&args);
    // On a busy machine it may have been bound.
    (report["bound"], report["is_loader_bound"]) = ("server".into(), false.into());
    let (a, b) = (write(&report), write(&report));
    let compare = || {
        let output = loadtest(&["compare", &a, &b]);
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(compare().contains("1.00 =\n"), "{}", compare());
    (report["bound"], report["is_loader_bound"]) = ("loader".into(), true.into());
    std::fs::write(&b, report.to_string()).expect("it is ours");
    let text = compare();
    assert!(text.contains("no winner is named:\n  B is loader-bound"), "{text}");
    assert!(!text.contains(" =\n"), "{text}");
    std::fs::remove_file(&a).expect("it is ours");
    std::fs::write(&b, "{}").expect("it is ours");
    let (code, text) = stderr(&["compare", &b, &b]);
    assert_eq!(code, 1);
    assert!(text.contains("is no report of loadtest"), "{text}");
    std::fs::remove_file(&b).expect("it is ours");
}

#[test]
fn a_report_names_the_server_and_its_backend() {
    for backend in ["epoll", "io_uring"] {
        let server = Throng::start(&["--backend", backend]);
        let (url, pid) = (server.url("/echo"), server.pid());
        let args = ["connect", "-n", "3", "--hold", "0", "--url", &url, "--server-pid", &pid];
        let (_, report) = measure(&args);
        let facts = &report["server"];
        assert_eq!(facts["url"], url.as_str());
        assert_eq!(facts["address"], server.address.as_str());
        assert_eq!((&facts["program"], &facts["backend"]), (&"throng".into(), &backend.into()));
        assert_eq!(report["title"], format!("loadtest connect, 3 connections, {backend}"));
        let output = loadtest(&args);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(&format!("server: {url}, throng, {backend}\n")), "{said}");
    }
}

#[test]
fn what_is_not_known_of_a_server_is_neither_zero_nor_drawn() {
    let server = Throng::start(&[]);
    let (url, path) = (server.url("/room/a"), temporary("html"));
    let html = path.to_string_lossy();
    let args = ["slow", "-n", "10", "--duration", "500ms", "--url", &url, "--html", &html];
    let output = loadtest(&args);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("not known\n"), "{said}");
    assert!(!said.contains(" 0 B\n"), "{said}");
    let page = std::fs::read_to_string(&path).expect("it was written");
    std::fs::remove_file(&path).expect("it is ours");
    let drawn = |plot: &str| page.contains(&format!("aria-label=\"{plot}\""));
    assert!(drawn("open connections") && page.contains("not known"));
    assert!(!drawn("server, resident") && !drawn("CPUs in use by the server"));
}

#[test]
fn a_failure_ends_with_its_reason() {
    let url = format!("ws://127.0.0.1:{}/", free_port());
    let output = loadtest(&["connect", "-n", "3", "--url", &url, "--hold", "0"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let reason = "3 connections failed to open: 3 x connect: connection refused";
    assert!(said.ends_with(&format!("NOT OK: {reason}\n")), "{said}");
}

#[test]
fn runs_of_other_options_have_no_winner() {
    let server = Throng::start(&[]);
    let url = server.url("/room/options");
    let plain = ["broadcast", "-n", "3", "--messages", "5", "--url", &url];
    let run = |more: &[&str]| write(&measure(&[&plain[..], more].concat()).1);
    let as_by_default = run(&[]);
    let others: [(&[&str], &str); 5] = [
        (&["--nap", "1ms"], "nap_seconds (none and 0.001)"),
        (&["--connect-rate", "100"], "connect_rate (none and 100)"),
        (&["--threads", "1"], "loader_threads (none and 1)"),
        (&["--cpus", "0"], "loader_cpus (none and 1)"),
        (&["--binary"], "binary (none and 1)"),
    ];
    for (more, difference) in others {
        let other = run(more);
        let output = loadtest(&["compare", &as_by_default, &other]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(&format!("they differ in {difference}")), "{text}");
        std::fs::remove_file(&other).expect("it is ours");
    }
    std::fs::remove_file(&as_by_default).expect("it is ours");
}

#[test]
fn a_result_is_a_multiple_of_a_floor_that_was_measured_alike() {
    let path = temporary("json");
    let floor = path.to_string_lossy();
    let mut args = vec!["floor", "--connections", "20", "--rounds", "1"];
    args.extend(["--json", &floor]);
    assert!(loadtest(&args).status.success());
    let server = Throng::start(&["--backend", "epoll"]);
    let (echo, room, pid) = (server.url("/echo"), server.url("/room/a"), server.pid());
    let against = ["-n", "20", "--floor", &floor, "--floor-backend", "epoll", "--server-pid", &pid];
    let echo = [&["echo", "--url", &echo, "--duration", "500ms", "--size", "20"], &against[..]];
    let broadcast = [&["broadcast", "--url", &room, "--messages", "100"], &against[..]].concat();
    let warm = [&broadcast[..], &["--warm-up-writes", "16"]];
    for args in [echo.concat(), warm.concat()] {
        let (code, report) = measure(&args);
        assert_eq!(code, 0);
        let times = figure(&report, "server_cpu_us") / figure(&report, "floor_us");
        assert!((figure(&report, "floor_times") / times - 1.0).abs() < 1e-6);
    }
    let (code, text) = stderr(&[&echo.concat()[..], &["--depth", "2"]].concat());
    assert_eq!(code, 1);
    assert!(text.contains("loadtest floor --connections 20 --echo-size 20 --depth 2"), "{text}");
    let (code, text) = stderr(&broadcast);
    assert_eq!(code, 1);
    assert!(text.contains("--warm-up-writes 16"), "{text}");
    std::fs::remove_file(&path).expect("it is ours");
}

#[test]
fn a_page_needs_nothing_beside_itself() {
    let server = Throng::start(&[]);
    let (url, path) = (server.url("/echo"), temporary("html"));
    let html = path.to_string_lossy();
    let mut args = vec!["echo", "-n", "3", "--rate", "50", "--url", &url, "--duration", "600ms"];
    args.extend(["--title", "one <page>", "--html", &html]);
    assert!(loadtest(&args).status.success());
    let page = std::fs::read_to_string(&path).expect("it was written");
    std::fs::remove_file(&path).expect("it is ours");
    assert!(page.contains("<svg") && page.contains("one &lt;page&gt;"), "{page}");
    assert!(page.contains("from the intended send time"), "{page}");
    let addresses = page.match_indices("http://").chain(page.match_indices("https://"));
    for (at, _) in addresses {
        let name = "http://www.w3.org/";
        assert!(page[at..].starts_with(name), "{}", &page[at..page.len().min(at + 80)]);
    }
    for outside in ["<script", "<link", "<img", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside} in {page}");
    }
}

#[test]
fn progress_is_plain_lines_where_there_is_no_terminal() {
    let server = Throng::start(&[]);
    let url = server.url("/echo");
    let args = ["echo", "-n", "3", "--url", &url, "--duration", "8s", "--warm-up", "0"];
    let (code, text) = stderr(&args);
    assert_eq!(code, 0);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.contains(&"opening ...") && lines.contains(&"echoing ..."), "{text}");
    let shows = |line: &&str| line.starts_with("echoing ") && line.contains("/8 s, 3 open");
    assert!(lines.iter().any(shows), "{text}");
    assert!(!text.contains(['\r', '\x1b']), "{text:?}");
}

fn write(report: &Value) -> String {
    let path = temporary("json");
    std::fs::write(&path, report.to_string()).expect("the folder is there");
    path.to_string_lossy().into_owned()
}
