//! The hostile mix, in short: honest clients lose nothing, and each kind of abuse is told of.

use std::net::TcpListener;
use std::thread;

use serde_json::Value;
use tungstenite::accept;

use crate::support::{figure, free_port, loadtest, measure, page, throng_program};

/// Little of everything.
const SHORT: [&str; 8] =
    ["--each", "2", "--flood", "256KiB", "--duration", "3s", "--calm", "500ms"];

const KINDS: [&str; 13] = [
    "slow_handshakes",
    "half_frames",
    "oversized",
    "fragments",
    "bad_text",
    "bombs",
    "pings",
    "requests",
    "connects_of_one",
    "connects_of_many",
    "random_bytes",
    "resets",
    "proxy_headers",
];

fn of(report: &Value, kind: &str, name: &str) -> f64 {
    figure(report, &format!("{kind}.{name}"))
}

fn honest_clients_lose_nothing(backend: &str) {
    let (port, operator) = (free_port(), free_port());
    let program = throng_program().display();
    let server = format!(
        "{program} --backend {backend} --listen 127.0.0.1:{port} --operator 127.0.0.1:{operator}"
    );
    let url = format!("ws://127.0.0.1:{port}/room/a");
    let operator = format!("http://127.0.0.1:{operator}");
    let mut args = vec!["abuse", "--url", &url, "--spawn", &server, "--operator", &operator];
    args.extend(["--memory-max", "1GiB", "-n", "20"]);
    args.extend(SHORT);
    let (report, page) = page(&args);
    assert_eq!(figure(&report, "connections_open_at_end"), 20.0);
    for id in ["lost", "incomplete", "echoes_wrong", "echoes_unanswered"] {
        assert_eq!(figure(&report, id), 0.0, "{id}");
    }
    for kind in KINDS {
        assert!(of(&report, kind, "begun") >= 2.0, "{kind}: {report}");
        assert!(of(&report, kind, "sent_bytes") > 0.0, "{kind}: {report}");
    }
    // What the loader was told is what the server has counted.
    assert!(of(&report, "oversized", "code_1009") >= 1.0);
    assert!(of(&report, "bombs", "code_1009") >= 1.0);
    assert!(of(&report, "bad_text", "code_1007") >= 1.0);
    assert!(of(&report, "random_bytes", "status_400") >= 1.0);
    let counted = of(&report, "oversized", "counted.message_too_big");
    let told = of(&report, "oversized", "code_1009") + of(&report, "bombs", "code_1009");
    assert!(counted >= told - 4.0, "{counted} of {told}, but for those under way");
    assert!(of(&report, "bad_text", "counted.violation") >= 1.0);
    assert!(of(&report, "requests", "counted.not_found") >= 1.0);
    assert!(of(&report, "resets", "counted.disconnected") >= 1.0);
    for title in ["Frames of a tebibyte", "Floods of pings", "delivery, beside the abuse"] {
        assert!(page.contains(title), "{title}");
    }
}

#[test]
fn honest_clients_of_epoll_lose_nothing() {
    honest_clients_lose_nothing("epoll");
}

#[test]
fn honest_clients_of_io_uring_lose_nothing() {
    honest_clients_lose_nothing("io_uring");
}

/// A server that lets everything pass, gives nothing back but echoes, and refuses nobody.
#[test]
fn a_server_that_refuses_nothing_and_loses_much_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let url = format!("ws://{}/room/a", listener.local_addr().expect("it is bound"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let kept = stream.try_clone().expect("there are descriptors");
                let mut number = 0;
                if let Ok(mut socket) = accept(stream) {
                    while let Ok(message) = socket.read() {
                        number += 1;
                        let is_lost = number == 5;
                        if message.is_text() && !is_lost && socket.send(message).is_err() {
                            break;
                        }
                    }
                }
                // It does not close what has broken the protocol.
                thread::park();
                drop(kept);
            });
        }
    });
    let mut args = vec!["abuse", "--url", &url, "--timeout", "1s", "--threads", "1"];
    args.extend(SHORT);
    args.extend(["-n", "1"]);
    let (code, report) = measure(&args);
    let problems = report["problems"].to_string();
    assert_eq!(code, 1, "{problems}");
    assert!(problems.contains("honest clients: 1 lost"), "{problems}");
    assert!(problems.contains("Random bytes: the server has refused none"), "{problems}");
}

#[test]
fn what_cannot_be_carried_out_is_told_first() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    for (args, code, says) in [
        (vec!["--memory-max", "1GiB"], 1, "--server-pid or --spawn"),
        (vec!["--operator", &nobody], 1, "/metrics: connection refused"),
        (vec!["--operator", "ftp://a"], 1, "http://HOST"),
        (vec!["--operator-header", "A: b"], 2, "--operator <URL>"),
        (vec!["--flood", "0"], 1, "--flood 0"),
        (vec!["--rate", "0"], 1, "above 0"),
        (vec!["--json", "/nonexistent/file"], 1, "/nonexistent/file"),
    ] {
        let output = loadtest(&[&["abuse"], &args[..]].concat());
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        let says = says.to_lowercase();
        assert_eq!((output.status.code(), said.contains(&says)), (Some(code), true), "{said}");
        assert_eq!(output.stdout, b"", "nothing was measured");
    }
}
