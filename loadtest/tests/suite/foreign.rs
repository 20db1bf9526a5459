//! Other servers than Throng: ones that lose, repeat and reorder, and ones with a protocol of their
//! own. They speak through tungstenite, so the loader's codec is checked by another.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::{Message, WebSocket, accept};

use crate::support::{figure, free_port, measure};

type Socket = WebSocket<TcpStream>;

/// Serves each connection in a thread of its own until the test ends; gives its address.
fn serve(each: fn(Socket)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("accepting works");
            thread::spawn(move || each(accept(stream).expect("the loader shakes hands")));
        }
    });
    format!("ws://{address}/")
}

/// Listens at a port soon, which is free until then; gives its address. What is started for it does
/// not listen itself.
fn serve_later() -> String {
    let port = free_port();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("it was free");
        for stream in listener.incoming().flatten() {
            // The loader looks whether somebody listens, and says nothing.
            if let Ok(mut socket) = accept(stream) {
                thread::spawn(move || while socket.read().is_ok() {});
            }
        }
    });
    format!("ws://127.0.0.1:{port}/")
}

#[test]
fn a_server_that_knows_no_signals_is_stopped_at_once() {
    let url = serve_later();
    let begin = Instant::now();
    let (code, _) =
        measure(&["connect", "-n", "1", "--hold", "0", "--url", &url, "--spawn", "sleep 3600"]);
    assert_eq!(code, 0);
    assert!(begin.elapsed() < Duration::from_secs(300), "it does not wait for the hour");
}

#[test]
fn a_server_that_ends_badly_when_told_to_stop_is_a_problem() {
    let url = serve_later();
    let server = "sh -c 'trap \"exit 3\" TERM; while :; do sleep 0.1; done'";
    let (code, report) =
        measure(&["connect", "-n", "1", "--hold", "0", "--url", &url, "--spawn", server]);
    assert_eq!(code, 1);
    assert!(report.to_string().contains("told to stop, the server ended"), "{report}");
}

/// Messages of text until the connection ends.
fn texts(socket: &mut Socket) -> Option<String> {
    loop {
        match socket.read().ok()? {
            Message::Text(text) => return Some(text.as_str().to_owned()),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

fn send(socket: &mut Socket, text: &str) {
    // The loader may have gone at the end of its run.
    let _ = socket.send(Message::text(text));
}

/// Gives the `number`th message back in a way of its own: the first one is 0.
fn faulty(mut socket: Socket) {
    let mut kept = String::new();
    let mut number = 0;
    while let Some(text) = texts(&mut socket) {
        match number {
            // Lost.
            3 => {}
            // Twice.
            5 => {
                send(&mut socket, &text);
                send(&mut socket, &text);
            }
            // Behind the next one.
            7 => kept = text,
            8 => {
                send(&mut socket, &text);
                send(&mut socket, &kept);
            }
            // With another byte in it.
            11 => send(&mut socket, &text.replacen('.', ",", 1)),
            _ => send(&mut socket, &text),
        }
        number += 1;
    }
}

#[test]
fn faults_of_a_server_are_counted_as_what_they_are() {
    let url = serve(faulty);
    let mut args = vec!["broadcast", "-n", "1", "--url", &url, "--rate", "50", "--messages", "20"];
    args.extend(["--timeout", "4s"]);
    // Two messages go before, to greet all: those measured begin with number 2.
    let (code, report) = measure(&args);
    assert_eq!(code, 1);
    assert_eq!(figure(&report, "lost"), 1.0);
    assert_eq!(figure(&report, "duplicated"), 1.0);
    assert_eq!(figure(&report, "mangled"), 1.0);
    assert_eq!(figure(&report, "out_of_order"), 1.0);
    assert_eq!(figure(&report, "incomplete"), 1.0);
    let problems = report["problems"].to_string();
    assert!(problems.contains("lost") && problems.contains("twice"), "{problems}");
}

/// Gives the last message again when all seems over.
fn repeating(mut socket: Socket) {
    for number in 0.. {
        let Some(text) = texts(&mut socket) else { return };
        send(&mut socket, &text);
        if number == LAST {
            thread::sleep(Duration::from_millis(100));
            send(&mut socket, &text);
        }
    }
}

/// Two messages go before, to greet all.
const LAST: usize = 6;

#[test]
fn a_late_repetition_of_the_last_message_is_found() {
    let url = serve(repeating);
    let args = ["broadcast", "-n", "1", "--url", &url, "--rate", "50", "--messages", "5"];
    let (code, report) = measure(&args);
    assert_eq!(figure(&report, "duplicated"), 1.0);
    assert_eq!(code, 1);
}

#[test]
fn what_an_open_loop_has_not_sent_is_a_problem() {
    let url = serve(|socket| {
        thread::sleep(Duration::from_secs(20));
        drop(socket);
    });
    let mut args = vec!["echo", "-n", "1", "--url", &url, "--rate", "2000", "--size", "64KiB"];
    args.extend(["--duration", "1s", "--timeout", "500ms", "--warm-up", "0"]);
    let (code, report) = measure(&args);
    assert_eq!(code, 1);
    let (unsent, problems) = (figure(&report, "unsent"), report["problems"].to_string());
    assert!((500.0..2100.0).contains(&unsent), "{unsent}");
    assert!(problems.contains("due and not sent"), "{problems}");
}

#[test]
fn a_wrong_echo_is_found() {
    let url = serve(|mut socket| {
        while let Some(text) = texts(&mut socket) {
            send(&mut socket, &(text + "!"));
        }
    });
    let mut args = vec!["echo", "-n", "1", "--url", &url, "--rate", "20", "--duration", "500ms"];
    args.extend(["--timeout", "4s", "--warm-up", "0"]);
    let (code, report) = measure(&args);
    assert_eq!(code, 1);
    assert!(figure(&report, "echoes_wrong") >= 5.0);
    assert!(figure(&report, "echoes_unanswered") >= 5.0);
}

/// Welcomes, wants to be asked for a channel, pings with a message, and wraps what it delivers.
fn peculiar(mut socket: Socket) {
    send(&mut socket, "welcome");
    assert_eq!(texts(&mut socket).as_deref(), Some(r#"{"subscribe":"a","as":"0"}"#));
    send(&mut socket, "2");
    assert_eq!(texts(&mut socket).as_deref(), Some("3"), "the loader answers the ping");
    while let Some(text) = texts(&mut socket) {
        let payload = text.strip_prefix(r#"{"say":""#).expect("it is the template");
        send(&mut socket, "noise");
        send(&mut socket, &format!(r#"{{"channel":"a","data":"{payload}"#));
    }
}

#[test]
fn a_protocol_of_its_own_can_be_measured() {
    let url = serve(peculiar);
    let mut args = vec!["broadcast", "-n", "1", "--url", &url, "--messages", "10"];
    args.extend(["--on-open", r#"{"subscribe":"a","as":"{id}"}"#, "--reply", "2=3"]);
    args.extend(["--publish", r#"{"say":"{payload}"}"#]);
    let (code, report) = measure(&args);
    assert_eq!(code, 0);
    assert_eq!(figure(&report, "delivered"), 10.0);
    assert!(figure(&report, "unknown_messages") >= 11.0, "welcome and noise");
}

#[test]
fn echoes_can_be_wrapped() {
    let url = serve(|mut socket| {
        send(&mut socket, "welcome");
        while let Some(text) = texts(&mut socket) {
            let payload = text.strip_prefix(r#"{"say":""#).expect("it is the template");
            send(&mut socket, &format!(r#"{{"longer":"{payload}"#));
        }
    });
    let mut args = vec!["echo", "-n", "2", "--url", &url, "--rate", "100", "--size", "20"];
    args.extend(["--duration", "500ms", "--publish", r#"{"say":"{payload}"}"#]);
    let (code, report) = measure(&args);
    assert_eq!(code, 0);
    assert!(figure(&report, "echoes") >= 40.0);
    assert_eq!(figure(&report, "echoes_wrong"), 0.0);
    assert_eq!(figure(&report, "unknown_messages"), 2.0);
}

/// A server of one client whose messages come by HTTP.
fn posted_to() -> (String, String) {
    let (sender, posted) = std::sync::mpsc::channel::<String>();
    let http = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let url = format!("http://{}/publish", http.local_addr().expect("it is bound"));
    thread::spawn(move || {
        let (stream, _) = http.accept().expect("the loader connects");
        let mut stream = BufReader::new(stream);
        while let Some(body) = request(&mut stream) {
            stream
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                .expect("the loader waits for it");
            // The client may have gone at the end of the run.
            let _ = sender.send(body);
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the loader connects");
        let mut socket = accept(stream).expect("the loader shakes hands");
        posted.into_iter().for_each(|body| send(&mut socket, &body));
    });
    (format!("ws://{address}/"), url)
}

/// The body of a request that has the fields it should have.
fn request(stream: &mut impl BufRead) -> Option<String> {
    let (mut length, mut is_keyed, mut line) = (0, false, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().expect("it is a number"),
            Some(("X-Key", "secret")) => is_keyed = true,
            _ if line.trim().is_empty() => break,
            _ => {}
        }
    }
    assert!(is_keyed, "the field that was asked for is there");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(String::from_utf8(body).expect("it is text"))
}

#[test]
fn messages_can_be_posted() {
    let (url, http) = posted_to();
    let mut args = vec!["broadcast", "-n", "1", "--url", &url, "--publish-url", &http];
    args.extend(["--publish-header", "X-Key: secret", "--messages", "10", "--burst", "2"]);
    args.extend(["--publish", r#"{"data":"{payload}"}"#]);
    let (code, report) = measure(&args);
    assert_eq!(code, 0);
    assert_eq!(figure(&report, "delivered"), 10.0);
}

#[test]
fn closes_that_nobody_answers_are_counted_and_end() {
    // It keeps the connection, and never reads from it.
    let url = serve(|socket| {
        thread::sleep(Duration::from_secs(30));
        drop(socket);
    });
    let mut args = vec!["churn", "-n", "5", "--connect-rate", "20", "--duration", "1s"];
    args.extend(["--leave", "close", "--timeout", "1s", "--url", &url]);
    let (code, report) = measure(&args);
    assert_eq!(code, 1);
    assert_eq!(figure(&report, "closes"), 20.0);
    assert_eq!(figure(&report, "closes_unanswered"), 20.0);
    assert!(report["problems"].to_string().contains("20 closes were not answered"));
}

#[test]
fn a_connection_that_the_server_closes_is_lost() {
    let url = serve(|mut socket| {
        thread::sleep(Duration::from_millis(100));
        // The loader answers the close; then the connection ends.
        let _ = socket.close(None);
        while socket.read().is_ok() {}
    });
    let (code, report) = measure(&["connect", "-n", "3", "--url", &url, "--hold", "500ms"]);
    assert_eq!(code, 1);
    assert_eq!(figure(&report, "connections_lost"), 3.0);
    assert_eq!(figure(&report, "error: closed by the server with code 1005"), 3.0);
}
