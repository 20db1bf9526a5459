//! How fast one caller publishes in batches, beside an axum server that only parses the same
//! bodies: of the full tier, since it takes the clock (`THRONG_TEST_FULL=1`).

#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use throng::config::{Config, ListenAddr};
use throng::server::Server;
use throng_control::Options;

const COMMANDS: usize = 1000;
const BATCHES: u32 = 200;

/// Of the rate of the server that only parses.
const SHARE_MIN: f64 = 0.5;

#[test]
fn batches_are_published_at_half_the_rate_at_which_they_are_parsed() {
    if std::env::var_os("THRONG_TEST_FULL").is_none_or(|value| value != "1") {
        return;
    }
    let listen: ListenAddr = "127.0.0.1:0".parse().expect("it is an address");
    let config = Config { listen: vec![listen.clone()], workers: 1, ..Config::default() };
    let server = Server::start(config).expect("there is a free port");
    let bound = throng_control::bind(Options { listen, ..Options::default() });
    let bound = bound.expect("there is a free port");
    let address = bound.address().expect("it has a port");
    let _running = bound.serve(server.monitor());
    let _member = member(&server);
    let bare = bare_server();
    let mut rates = [Vec::new(), Vec::new()];
    // By turns, so that what else the host does hits both.
    for _ in 0..5 {
        rates[0].push(rate(address));
        rates[1].push(rate(bare));
    }
    let [ours, bare] = rates.map(median);
    let line = format!("{ours:.0} publishes/s, and {bare:.0}/s where they are only parsed");
    writeln!(io::stderr(), "{line}").expect("standard error is open");
    assert!(ours >= bare * SHARE_MIN, "{line}");
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Somebody in the room, who reads all that comes.
fn member(server: &Server) -> thread::JoinHandle<()> {
    let ListenAddr::Tcp(address) = server.addresses()[0] else { panic!("it listens on TCP") };
    let mut socket = TcpStream::connect(address).expect("it listens");
    let request = format!(
        "GET /room/lobby HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).expect("it takes a request");
    let mut buffer = vec![0; 64 << 10];
    let length = socket.read(&mut buffer).expect("it answers");
    assert!(buffer[..length].starts_with(b"HTTP/1.1 101"));
    thread::spawn(move || while socket.read(&mut buffer).is_ok_and(|length| length > 0) {})
}

/// Publishes per second of one caller on one connection.
fn rate(address: SocketAddr) -> f64 {
    let mut body = String::from(r#"{"commands":["#);
    for at in 0..COMMANDS {
        let comma = if at == 0 { "" } else { "," };
        let data = format!(r#"{{"id":{at},"text":"hello, everybody"}}"#);
        write!(body, r#"{comma}{{"publish":{{"room":"lobby","data":{data}}}}}"#).expect("memory");
    }
    body.push_str("]}");
    let length = body.len();
    let head =
        format!("POST /api/batch HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
    let request = [head.as_bytes(), body.as_bytes()].concat();
    let socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("it is above zero");
    let mut reader = BufReader::new(&socket);
    let began = Instant::now();
    for _ in 0..BATCHES {
        (&socket).write_all(&request).expect("it takes a request");
        let reply = response(&mut reader);
        assert!(!reply.contains("error"), "{reply}");
    }
    f64::from(BATCHES) * COMMANDS as f64 / began.elapsed().as_secs_f64()
}

fn response(reader: &mut impl BufRead) -> String {
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("it answers");
        match line.trim().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().expect("it is a number"),
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("it is whole");
    String::from_utf8(body).expect("it is text")
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    commands: Vec<Command<'a>>,
}

#[derive(Deserialize)]
struct Command<'a> {
    #[serde(borrow)]
    publish: Publish<'a>,
}

#[derive(Deserialize)]
struct Publish<'a> {
    room: &'a str,
    #[serde(borrow)]
    data: &'a serde_json::value::RawValue,
}

/// Parses, and answers as we do.
async fn parse(body: Bytes) -> String {
    let batch: Batch<'_> = serde_json::from_slice(&body).expect("it is ours");
    let is_whole = |command: &Command<'_>| {
        !command.publish.room.is_empty() && !command.publish.data.get().is_empty()
    };
    assert!(batch.commands.iter().all(is_whole));
    format!(r#"{{"replies":[{}]}}"#, vec![r#"{"publish":{}}"#; batch.commands.len()].join(","))
}

/// One thread with axum, as ours.
fn bare_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.set_nonblocking(true).expect("it is a socket");
    let address = listener.local_addr().expect("it is bound");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("there are descriptors");
    thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("it is a socket");
            let router = Router::new().route("/api/batch", post(parse));
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(router.clone());
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
    });
    address
}
