//! Each scenario against Throng: what it counts is what was there.

use std::time::{Duration, Instant};

use crate::support::{Throng, figure, free_port, measure, throng_program};

#[test]
fn echo_gets_every_reply() {
    let paces = ["--depth=4", "--rate=2000", "--rate=2000 --burst=50"];
    for (pace, size) in paces.into_iter().zip(["20", "200", "100"]) {
        let server = Throng::start(&[]);
        let (url, pid) = (server.url("/echo"), server.pid());
        let mut args = vec!["echo", "-n", "20", "--url", &url, "--server-pid", &pid];
        args.extend(["--duration", "1s", "--warm-up", "100ms", "--size", size]);
        args.extend(pace.split(' '));
        let (code, report) = measure(&args);
        assert_eq!(code, 0);
        assert!(figure(&report, "echoes") > 500.0);
        assert_eq!(figure(&report, "message_bytes").to_string(), size);
        assert_eq!(figure(&report, "echoes_wrong"), 0.0);
        assert!(figure(&report, "server_cpu_us") > 0.0);
        assert!(figure(&report, "loader_cpu_us") > 0.0);
    }
}

#[test]
fn broadcast_reaches_all_exactly_once() {
    for more in [["--burst", "8"], ["--publishers", "3"], ["--rate", "100"]] {
        let server = Throng::start(&["--workers", "2"]);
        let url = server.url("/room/a");
        let mut args = vec!["broadcast", "-n", "90", "--threads", "3", "--url", &url];
        args.extend(["--duration", "1s", "--messages", "64"]);
        args.extend(more);
        let (code, report) = measure(&args);
        assert_eq!(code, 0);
        assert_eq!(figure(&report, "published"), 64.0);
        assert_eq!(figure(&report, "delivered"), 64.0 * 90.0);
        assert_eq!(report["parameters"]["connections"], 90.0);
        let latencies = report["latencies"].as_array().expect("there are latencies");
        let count = |id| latencies.iter().find(|l| l["id"] == id).map(|l| l["count"].clone());
        assert_eq!(count("delivery_latency"), Some((64 * 90).into()));
        assert_eq!(count("last_latency"), Some(64.into()));
    }
}

#[test]
fn writes_to_warm_up_reach_all_and_do_not_count() {
    let port = free_port();
    let server = format!("{} --operator off --listen 127.0.0.1:{port}", throng_program().display());
    let url = format!("ws://127.0.0.1:{port}/room/a");
    let mut args = vec!["broadcast", "-n", "30", "--threads", "1", "--url", &url];
    args.extend(["--spawn", &server, "--messages", "8", "--burst", "4", "--warm-up-writes", "5"]);
    let (code, report) = measure(&args);
    assert_eq!(code, 0);
    assert_eq!((figure(&report, "published"), figure(&report, "delivered")), (8.0, 240.0));
    assert_eq!(report["parameters"]["warm_up_writes"], 5.0);
    // Besides, a write to the first third and one to all.
    assert_eq!(figure(&report, "server.messages_received"), 8.0 + (5.0 + 2.0) * 4.0);
}

#[test]
fn connect_holds_and_counts_pings() {
    let server = Throng::start(&["--ping-interval", "300ms"]);
    let url = server.url("/room/a");
    let mut args = vec!["connect", "-n", "50", "--url", &url, "--hold", "2s"];
    args.extend(["--pings-every", "500ms"]);
    let (code, report) = measure(&args);
    assert_eq!(code, 0);
    assert_eq!(figure(&report, "connections_open_at_end"), 50.0);
    assert_eq!(figure(&report, "clients_short_of_pings"), 0.0);
    assert!(figure(&report, "pings_held") >= 200.0);
}

#[test]
fn pings_that_do_not_come_are_a_problem() {
    let server = Throng::start(&["--ping-interval", "0"]);
    let url = server.url("/room/a");
    let args = ["connect", "-n", "5", "--url", &url, "--hold", "1s", "--pings-every", "500ms"];
    let (code, report) = measure(&args);
    assert_eq!(code, 1);
    assert_eq!(figure(&report, "clients_short_of_pings"), 5.0);
}

#[test]
fn chat_stays_in_its_rooms() {
    let server = Throng::start(&["--workers", "2"]);
    let url = server.url("/room/chat-{room}");
    let mut args = vec!["chat", "-n", "40", "--room-size", "5", "--rate", "400", "--url", &url];
    args.extend(["--duration", "1s"]);
    let (code, report) = measure(&args);
    assert_eq!(code, 0);
    let said = figure(&report, "said");
    assert!(said > 100.0, "{said}");
    assert_eq!(figure(&report, "delivered"), said * 5.0);
}

#[test]
fn chat_in_one_room_for_all_is_found() {
    let server = Throng::start(&[]);
    let url = server.url("/room/the-same");
    let mut args = vec!["chat", "-n", "10", "--room-size", "5", "--rate", "100", "--url", &url];
    args.extend(["--duration", "500ms"]);
    let (code, report) = measure(&args);
    assert_eq!(code, 1);
    assert!(figure(&report, "misdirected") > 0.0);
}

/// A schedule that is always behind must not keep its thread from all else.
#[test]
fn a_rate_that_cannot_be_kept_ends_in_time() {
    for (scenario, path) in [("chat", "/room/{room}"), ("echo", "/echo")] {
        let server = Throng::start(&[]);
        let url = server.url(path);
        let mut args = vec![scenario, "-n", "40", "--rate", "2000000", "--url", &url];
        args.extend(["--duration", "1s", "--threads", "1", "--timeout", "2s"]);
        let start = Instant::now();
        let (_, report) = measure(&args);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(120), "{scenario} took {took:?}");
        let rate = if scenario == "chat" { "said" } else { "echoes" };
        let (sent, all) = (figure(&report, rate), 2e6 * took.as_secs_f64());
        assert!(sent > 1000.0 && sent < all / 2.0, "{scenario}: {sent} of {all} were possible");
    }
}

#[test]
fn churn_comes_and_goes() {
    let server = Throng::start(&[]);
    let (url, pid) = (server.url("/room/a"), server.pid());
    let mut args = vec!["churn", "-n", "50", "--connect-rate", "200", "--url", &url];
    args.extend(["--duration", "2s", "--server-pid", &pid]);
    let (code, report) = measure(&args);
    assert_eq!(code, 0);
    assert_eq!(figure(&report, "connections_opened"), 400.0);
    assert_eq!(figure(&report, "left"), 400.0);
    assert!(figure(&report, "closes") >= 200.0);
    assert_eq!(figure(&report, "closes_unanswered"), 0.0);
    assert_eq!(figure(&report, "connections_open_at_end"), 0.0);
}

#[test]
fn a_soak_has_all_groups() {
    let server = Throng::start(&[]);
    let (url, pid) = (server.url("/room/a"), server.pid());
    let mut args = vec!["soak", "-n", "100", "--duration", "3s", "--url", &url];
    args.extend(["--rate", "20", "--churn-rate", "50", "--server-pid", &pid]);
    let (code, report) = measure(&args);
    assert_eq!(code, 0);
    assert_eq!(figure(&report, "lost"), 0.0);
    assert!(figure(&report, "echoes") > 100.0);
    assert!(figure(&report, "came") > 100.0);
    // What has become of each is told.
    let told = ["connections_open_at_end", "connections_let_go", "connections_lost"];
    let told: f64 = told.iter().map(|id| figure(&report, id)).sum();
    assert_eq!(figure(&report, "connections_opened"), told);
    let never_open = figure(&report, "connections_failed");
    assert_eq!(figure(&report, "connections_asked"), told + never_open);
}

#[test]
fn a_preset_proves_its_claim_with_the_server_that_it_starts() {
    let port = free_port().to_string();
    let program = throng_program().to_string_lossy();
    for backend in ["epoll", "io_uring"] {
        let mut args = vec!["100k", "-n", "3000", "--hold", "2s", "--port", &port];
        args.extend(["--server", &program, "--backend", backend, "--workers", "3"]);
        args.extend(["--ping-interval", "1s", "--settle", "1s"]);
        let (code, report) = measure(&args);
        assert_eq!(code, 0);
        assert_eq!(figure(&report, "connections_open_at_end"), 3000.0);
        assert_eq!(figure(&report, "delivered"), 9000.0);
        assert_eq!(figure(&report, "pings_expected"), 2.0);
        assert_eq!(figure(&report, "workers"), 3.0);
        assert!(figure(&report, "server_rss_slope") > 0.0);
        let read = "Memory, read after a round of pings, a broadcast and 1s";
        let sections = report["sections"].as_array().expect("a report has sections");
        assert!(sections.iter().any(|section| section["title"] == read), "{report}");
        assert!(!report["notes"].to_string().contains("had not had a ping"), "{report}");
    }
}
