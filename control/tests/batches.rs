//! What it takes to publish in batches, beside an axum server that only parses the same bodies:
//! the CPU time of either's thread is judged, and the rate is told. Of the full tier, since it keeps
//! the processors busy (`THRONG_TEST_FULL=1`).

#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::fmt::Write as _;
use std::fs;
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

/// How many times the CPU time of the server that only parses it may take.
const TIMES_MAX: f64 = 2.0;

/// What the threads are called.
const OURS: &str = "operator";
const BARE: &str = "bare";

/// What one caller has got.
struct Figures {
    per_second: f64,
    /// CPU time of the serving thread for each publish.
    cpu: Duration,
}

#[test]
fn to_publish_a_batch_takes_at_most_twice_what_it_takes_to_parse_it() {
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
    let mut all = [Vec::new(), Vec::new()];
    // By turns, so that what else the host does hits both.
    for _ in 0..5 {
        all[0].push(figures(address, OURS));
        all[1].push(figures(bare, BARE));
    }
    let [ours, bare] = all.map(median);
    let told = |Figures { per_second, cpu }: &Figures| format!("{per_second:.0}/s, {cpu:?} each");
    let line = format!("published: {}; only parsed: {}", told(&ours), told(&bare));
    writeln!(io::stderr(), "{line}").expect("standard error is open");
    assert!(ours.cpu.as_secs_f64() <= bare.cpu.as_secs_f64() * TIMES_MAX, "{line}");
}

fn median(mut all: Vec<Figures>) -> Figures {
    all.sort_by_key(|figures| figures.cpu);
    all.swap_remove(all.len() / 2)
}

/// CPU time of a thread of this process so far.
fn cpu_time(name: &str) -> Duration {
    let tasks = fs::read_dir("/proc/self/task").expect("there is /proc").flatten();
    let is_meant = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    let task = tasks.into_iter().find(is_meant).expect("the thread runs").path();
    let text = fs::read_to_string(task.join("schedstat")).expect("the kernel counts it");
    let nanos = text.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.expect("it is a number"))
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

/// Of one caller on one connection, served by that thread.
fn figures(address: SocketAddr, thread: &str) -> Figures {
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
    let (began, cpu) = (Instant::now(), cpu_time(thread));
    for _ in 0..BATCHES {
        (&socket).write_all(&request).expect("it takes a request");
        let reply = response(&mut reader);
        assert!(!reply.contains("error"), "{reply}");
    }
    let publishes = BATCHES * COMMANDS as u32;
    let per_second = f64::from(publishes) / began.elapsed().as_secs_f64();
    Figures { per_second, cpu: (cpu_time(thread) - cpu) / publishes }
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
    let thread = thread::Builder::new().name(BARE.into());
    let serve = move || {
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
    };
    thread.spawn(serve).expect("there may be one more");
    address
}
