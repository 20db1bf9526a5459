//! A restart: who leaves, who comes back, and how long those wait who are asked to.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tungstenite::accept;
use tungstenite::protocol::CloseFrame;

use crate::support::{Throng, figure, free_port, loadtest, measure, page, percentile_us};
use crate::support::{program_at, throng_program};

/// Short waits of clients; the server ends its connections within a second.
const SHORT: [&str; 4] = ["--backoff", "100ms", "--backoff-max", "1s"];

fn all_come_back_to_a_server_that_is_started_anew(backend: &str) {
    let port = free_port();
    let server = format!("{} --backend {backend} --drain 1s", program_at(port));
    let url = format!("ws://127.0.0.1:{port}/room/a");
    let mut args = vec!["storm", "-n", "60", "--url", &url, "--spawn", &server];
    args.extend(SHORT);
    let (report, page) = page(&args);
    assert_eq!((figure(&report, "clients"), figure(&report, "back")), (60.0, 60.0));
    assert_eq!((figure(&report, "leaves"), figure(&report, "leaves_cut")), (60.0, 0.0));
    let groups = ["honouring_arrivals", "impatient_arrivals"];
    let arrivals: f64 = groups.iter().map(|id| figure(&report, id)).sum();
    assert_eq!(arrivals, 60.0);
    assert!(figure(&report, "arrivals_peak") >= 1.0);
    // What is drawn is what was counted.
    let series = report["series"].as_array().expect("a report has series");
    for (id, count) in
        [("leaves", 60.0), ("arrivals_honouring", 30.0), ("arrivals_impatient", 30.0)]
    {
        let line = series.iter().find(|series| series["id"] == id);
        let points = line.expect("it is there")["points"].as_array().expect("it has points");
        let sum: f64 = points.iter().filter_map(|point| point[1].as_f64()).sum();
        assert_eq!(sum, count, "{id}");
    }
    for title in ["Clients that left each second", "Clients that came back each second"] {
        assert!(page.contains(&format!("<h2>{title}</h2>")), "{title}");
    }
}

#[test]
fn all_come_back_to_epoll() {
    all_come_back_to_a_server_that_is_started_anew("epoll");
}

#[test]
fn all_come_back_to_io_uring() {
    all_come_back_to_a_server_that_is_started_anew("io_uring");
}

#[test]
fn the_server_of_a_process_is_replaced_by_a_command() {
    let server = Throng::start(&["--drain", "1s"]);
    let (url, pid) = (server.url("/room/a"), server.pid());
    let next = format!("{} --operator off --listen {}", throng_program().display(), server.address);
    let mut args = vec!["storm", "-n", "10", "--honour-slot", "false", "--url", &url];
    args.extend(["--server-pid", &pid, "--restart", &next]);
    args.extend(SHORT);
    let (code, report) = measure(&args);
    assert_eq!(code, 0, "{report}");
    assert_eq!((figure(&report, "back"), figure(&report, "impatient_clients")), (10.0, 10.0));
    assert!(!report.to_string().contains("honouring_clients"));
}

#[test]
fn a_server_that_somebody_else_kills_is_waited_for() {
    let port = free_port().to_string();
    let listen = format!("127.0.0.1:{port}");
    let first = Throng::start_at(&listen, &[]);
    let url = first.url("/room/a");
    let without = first.sockets();
    let mut args = vec!["storm", "-n", "10", "--url", &url];
    args.extend(SHORT);
    let (code, report) = thread::scope(|scope| {
        let restarted = scope.spawn(move || {
            while first.sockets() < without + 10 {
                thread::sleep(Duration::from_millis(10));
            }
            first.signal(Signal::SIGKILL);
            // It has gone when this is dropped.
            drop(first);
            Throng::start_at(&listen, &[])
        });
        let measured = measure(&args);
        drop(restarted.join().expect("it starts"));
        measured
    });
    assert_eq!(code, 0, "{report}");
    assert_eq!((figure(&report, "back"), figure(&report, "leaves_cut")), (10.0, 10.0));
}

/// Closes the first `clients` connections with this reason, when all of them are there.
fn closing_once(clients: usize, reason: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let address = listener.local_addr().expect("it is bound");
    let came = Arc::<AtomicUsize>::default();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let came = Arc::clone(&came);
            thread::spawn(move || {
                let mut socket = accept(stream).expect("the loader shakes hands");
                if came.fetch_add(1, Ordering::AcqRel) < clients {
                    while came.load(Ordering::Acquire) < clients {
                        thread::sleep(Duration::from_millis(5));
                    }
                    thread::sleep(Duration::from_millis(1500));
                    let frame = CloseFrame { code: 1012.into(), reason: reason.into() };
                    socket.close(Some(frame)).expect("it has room");
                }
                while socket.read().is_ok() {}
            });
        }
    });
    format!("ws://{address}/")
}

#[test]
fn who_honours_its_slot_stays_away_for_so_long() {
    let url = closing_once(8, "service restart; retry-after=2s");
    let mut args = vec!["storm", "-n", "8", "--url", &url];
    args.extend(SHORT);
    let (code, report) = measure(&args);
    assert_eq!(code, 0, "{report}");
    assert_eq!((figure(&report, "with_slot"), figure(&report, "leaves_1012")), (8.0, 8.0));
    assert_eq!(figure(&report, "honouring_arrivals"), 4.0);
    // A histogram keeps three digits.
    let least = percentile_us(&report, "away_honouring", 0.0);
    assert!(least >= 1_990_000.0, "{least} us");
}

#[test]
fn a_server_that_ends_nobody_is_told_of_in_time() {
    let server = Throng::start(&[]);
    let output = loadtest(&["storm", "-n", "3", "--url", &server.url("/room/a"), "--wait", "1s"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("has ended no connection"), "{said}");
    let output = loadtest(&["storm", "--restart", "true"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.contains("--server-pid")), (Some(2), true), "{said}");
}
