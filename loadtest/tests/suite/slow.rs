//! Clients that never read: what they got, what the others got, and what the policy wants.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;
use tungstenite::{Message, WebSocket, accept};

use crate::support::{Throng, figure, free_port, loadtest, measure, page, throng_program};

/// Each turn is short, and there is one of each.
const SHORT: [&str; 4] = ["--rounds", "1", "--duration", "2s"];

#[test]
fn those_that_read_get_all_while_others_do_not_read() {
    let server = Throng::start(&["--max-backlog", "4MiB"]);
    let (url, pid) = (server.url("/room/a"), server.pid());
    let mut args = vec!["slow", "-n", "20", "--share", "20%", "--rate", "200", "--url", &url];
    args.extend(["--size", "64KiB", "--server-pid", &pid]);
    args.extend(SHORT);
    let (code, report) = measure(&args);
    assert_eq!(code, 0);
    assert_eq!(figure(&report, "slow"), 4.0);
    assert_eq!(figure(&report, "connections_opened"), 16.0);
    let published = figure(&report, "published");
    assert!(published >= 400.0, "{published}");
    assert_eq!(figure(&report, "delivered"), 16.0 * published);
    assert_eq!((figure(&report, "lost"), figure(&report, "incomplete")), (0.0, 0.0));
    assert!(figure(&report, "server_rss_highest") >= figure(&report, "server_rss_before"));
    let latencies = report["latencies"].as_array().expect("a report has latencies");
    for id in ["all_read", "some_read"] {
        assert!(latencies.iter().any(|latency| latency["id"] == id), "{id}");
    }
}

#[test]
fn back_to_back_each_turn_has_its_messages() {
    let server = Throng::start(&[]);
    let url = server.url("/room/a");
    let mut args = vec!["slow", "-n", "10", "--rate", "0", "--messages", "30", "--url", &url];
    args.extend(["--rounds", "2", "--size", "100", "--duration", "5m"]);
    let (code, report) = measure(&args);
    assert_eq!((code, figure(&report, "published")), (0, 120.0));
    assert_eq!(figure(&report, "delivered"), 120.0 * 9.0);
    assert_eq!((figure(&report, "slow"), figure(&report, "slow_received")), (2.0, 60.0));
}

fn those_that_the_server_ends_are_seen(backend: &str) {
    let port = free_port();
    let program = throng_program().display();
    let server = format!("{program} --operator off --listen 127.0.0.1:{port} --backend {backend}");
    let url = format!("ws://127.0.0.1:{port}/room/a");
    // Of 80 messages for each, some 40 fill the sockets at both ends.
    let mut args = vec!["slow", "-n", "5", "--share", "40%", "--rate", "40", "--url", &url];
    args.extend(["--size", "256KiB", "--rounds", "2", "--duration", "2s"]);
    args.extend(["--spawn", &server, "--threads", "1"]);
    let (code, report) = measure(&args);
    assert_eq!(code, 0, "{report}");
    assert_eq!(figure(&report, "server.closed_slow"), 4.0);
    assert_eq!((figure(&report, "slow"), figure(&report, "slow_ended")), (4.0, 4.0));
    let of_policy = figure(&report, "slow_closed_1008") + figure(&report, "slow_cut");
    assert_eq!(of_policy, 4.0, "no other code");
    assert_eq!((figure(&report, "slow_prefix"), figure(&report, "slow_newest")), (4.0, 0.0));
    assert!(figure(&report, "slow_missed") > 0.0);
    assert_eq!(figure(&report, "connections_open_at_end"), 3.0);
    assert_eq!(figure(&report, "connections_lost"), 0.0);
}

#[test]
fn those_that_epoll_ends_are_seen() {
    those_that_the_server_ends_are_seen("epoll");
}

#[test]
fn those_that_io_uring_ends_are_seen() {
    those_that_the_server_ends_are_seen("io_uring");
}

#[test]
fn those_that_the_server_keeps_have_all_when_they_read() {
    let server = Throng::start(&[]);
    let url = server.url("/room/a");
    let mut args = vec!["slow", "-n", "20", "--share", "20%", "--rate", "20", "--url", &url];
    args.extend(["--size", "1KiB", "--rounds", "2", "--duration", "500ms"]);
    let (report, page) = page(&args);
    let fates = ["slow", "slow_ended", "slow_kept", "slow_behind", "slow_newest"];
    assert_eq!(fates.map(|id| figure(&report, id)), [8.0, 0.0, 8.0, 0.0, 8.0]);
    assert_eq!(figure(&report, "slow_received"), figure(&report, "slow_due"));
    assert_eq!(figure(&report, "unknown_messages"), 0.0);
    assert!(report["notes"].to_string().contains("sockets and the server's backlog"), "{report}");
    // The server is not watched: of its memory nothing is told, and nothing is drawn.
    assert!(!report.to_string().contains("server_rss"), "{report}");
    assert!(page.contains("delivery, some not reading") && !page.contains("0 MiB"), "{page}");
}

type Socket = WebSocket<TcpStream>;

/// A room for the publisher alone; the second client, which never reads, gets every message, but
/// for those that `drops` says.
fn room_of_two(drops: fn(usize) -> bool, then: fn(&mut Socket)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let connect = |listener: &TcpListener| listener.accept().expect("the loader connects").0;
        let mut reading = accept(connect(&listener)).expect("the loader shakes hands");
        let (sender, came) = std::sync::mpsc::channel();
        let is_coming = Arc::<AtomicBool>::default();
        let coming = Arc::clone(&is_coming);
        thread::spawn(move || {
            let stream = connect(&listener);
            coming.store(true, Ordering::Release);
            // Who takes it waits for it.
            let _ = sender.send(accept(stream).expect("the loader shakes hands"));
        });
        let (mut slow, mut number) = (None, 0);
        while let Ok(message) = reading.read() {
            let Message::Binary(_) = &message else { continue };
            reading.send(message.clone()).expect("it reads");
            // Those of the first turn go to the publisher alone.
            if slow.is_none() && is_coming.load(Ordering::Acquire) {
                slow = came.recv().ok();
            }
            let Some(slow) = &mut slow else { continue };
            if !drops(number) {
                slow.send(message).expect("the socket has room");
            }
            number += 1;
            if number == LAST {
                then(slow);
            }
        }
    });
    format!("ws://{address}/")
}

/// Messages of a turn, or a few less.
const LAST: usize = 20;

fn measure_policy(policy: &str, url: &str) -> (i32, Value) {
    let mut args = vec!["slow", "-n", "2", "--share", "50%", "--rate", "50", "--size", "100"];
    args.extend(["--rounds", "1", "--duration", "1s", "--policy", policy, "--url", url]);
    measure(&[&args[..], &["--threads", "1"]].concat())
}

#[test]
fn what_is_dropped_is_counted_and_fits_some_policies() {
    let drops = |number| number == 3 || number == 4;
    for (policy, is_ok) in [("disconnect", false), ("drop_oldest", true), ("latest", true)] {
        let url = room_of_two(drops, |_| {});
        let (code, report) = measure_policy(policy, &url);
        assert_eq!(code == 0, is_ok, "{policy}: {report}");
        assert_eq!(figure(&report, "slow_dropped"), 2.0);
        assert_eq!((figure(&report, "slow_gaps"), figure(&report, "slow_newest")), (1.0, 1.0));
    }
}

#[test]
fn who_is_closed_is_told_with_code_and_reason() {
    let with_1008: fn(&mut Socket) = |socket| {
        let frame =
            tungstenite::protocol::CloseFrame { code: 1008.into(), reason: "too slow".into() };
        socket.close(Some(frame)).expect("it has room");
    };
    for (policy, is_ok) in [("disconnect", true), ("drop_oldest", false)] {
        let url = room_of_two(|number| number >= LAST, with_1008);
        let (code, report) = measure_policy(policy, &url);
        assert_eq!(code == 0, is_ok, "{policy}: {report}");
        assert_eq!(figure(&report, "slow_closed: 1008 too slow"), 1.0);
        assert_eq!((figure(&report, "slow_ended"), figure(&report, "slow_cut")), (1.0, 0.0));
    }
}

#[test]
fn a_share_that_leaves_nobody_who_reads_is_refused() {
    let output = loadtest(&["slow", "--share", "100%"]);
    let said = String::from_utf8_lossy(&output.stderr);
    let says = said.contains("nobody who reads");
    assert_eq!((output.status.code(), says), (Some(1), true), "{said}");
}
