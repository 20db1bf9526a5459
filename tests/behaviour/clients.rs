//! The programs of docs/clients.md, as they stand there: they greet a room, hear what others say,
//! and come back when the server is restarted.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use testkit::client::{Client, handshake, text};
use testkit::process::{Process, Signal};
use throng::config::Backend;

use crate::embedders::ROOT;
use crate::support::{PATIENCE, Scratch, comes_to_hold, server, skip};

/// A program of the guide that runs; it is killed when this is dropped.
struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = started.expect("the interpreter is there");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// Waits until it prints a line.
    fn prints(&self, wanted: &str) {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            if line.unwrap_or_else(|_| panic!("it never prints {wanted:?}")) == wanted {
                return;
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself, which a test has seen.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The code of a section of the guide, for a server at this port.
fn code(section: &str, port: u16) -> String {
    let guide = fs::read_to_string(format!("{ROOT}/docs/clients.md")).expect("it is there");
    let behind = guide.split_once(&format!("\n## {section}\n")).expect("there is the section").1;
    let block = behind.split_once("\n```").expect("there is code").1;
    let block = block.split_once('\n').expect("a language stands there").1;
    let code = block.split_once("\n```").expect("it ends").0;
    let default = "127.0.0.1:8080";
    assert!(code.contains(default), "{code}");
    code.replace(default, &format!("127.0.0.1:{port}"))
}

/// Python and the modules of node that `scripts/conformance.sh` keeps.
fn environments() -> Option<[String; 2]> {
    let output = Command::new(format!("{ROOT}/scripts/conformance.sh")).arg("--clients").output();
    let output = output.expect("it is there");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines().map(str::to_owned);
    let found = lines.next().zip(lines.next()).filter(|_| output.status.success());
    if found.is_none() {
        skip("no client libraries here; install with: scripts/install-test-tools.sh");
    }
    found.map(|(python, modules)| [python, modules])
}

/// Waits until a program has greeted the room that somebody is in.
fn is_greeted(client: &mut Client, greeting: &str) {
    assert_eq!(String::from_utf8_lossy(&client.frame().payload), greeting);
}

/// What the server tells: those who are few are told a second.
const SLOT: Duration = Duration::from_secs(1);

/// A server, what a program says to it, and another one in the same place.
fn comes_back(greeting: &str, sends_again: bool, start: impl Fn(u16) -> Program) {
    let mut first = server(Backend::Auto, &["--drain", "100ms"]);
    let mut friend = Client::open(first.address(), "/room/lobby");
    let program = start(first.port());
    is_greeted(&mut friend, greeting);
    friend.write(&text("hello back"));
    assert_eq!(friend.frame().payload, b"hello back");
    program.prints("hello back");
    let listen = first.address().to_string();
    first.signal(Signal::SIGTERM);
    let left = Instant::now();
    assert_eq!(friend.close_code(), 1001);
    drop(friend);
    assert_eq!(first.exit_code(PATIENCE), 0);

    let second = server(Backend::Auto, &["--listen", &listen]);
    let mut friend = Client::open(second.address(), "/room/lobby");
    if sends_again {
        is_greeted(&mut friend, greeting);
        friend.write(&text("hello again"));
    } else {
        says_until_somebody_listens(&second, &program);
    }
    program.prints("hello again");
    assert!(left.elapsed() >= SLOT, "it came back after {:?}", left.elapsed());
}

/// A program that says nothing when it comes back is there when it prints what others say.
fn says_until_somebody_listens(server: &Process, program: &Program) {
    let mut friend = Client::open(server.address(), "/room/lobby");
    while program.lines.try_recv().is_err() {
        friend.write(&text("anybody?"));
        thread::sleep(crate::support::ms(50));
    }
    friend.write(&text("hello again"));
}

#[test]
fn the_browsers_program_comes_back() {
    // Node 20 has what browsers have behind a flag, which later ones still take.
    let flag = "--experimental-websocket";
    let has_websocket = Command::new("node").args([flag, "-e", "WebSocket"]).output();
    if !has_websocket.is_ok_and(|output| output.status.success()) {
        return skip("no node from 20.10 on here; install with: scripts/install-test-tools.sh");
    }
    comes_back("hello from javascript", false, |port| {
        Program::start(Command::new("node").args([flag, "-e", &code("Browsers", port)]))
    });
}

#[test]
fn the_program_for_node_comes_back() {
    let Some([_, modules]) = environments() else { return };
    let scratch = Scratch::new();
    comes_back("hello from node", true, |port| node(port, &scratch, &modules));
}

#[test]
fn the_program_for_python_comes_back() {
    let Some([python, _]) = environments() else { return };
    comes_back("hello from python", true, |port| in_python(port, &python));
}

/// The next connection, however long it takes.
fn accept(listener: &TcpListener) -> TcpStream {
    let mut found = None;
    let has_come = || {
        found = listener.accept().ok();
        found.is_some()
    };
    assert!(comes_to_hold(has_come), "nobody connects");
    found.expect("it has come").0
}

/// A program that finds the server full waits as long as the server says.
fn waits_as_it_is_told(start: impl Fn(u16) -> Program) {
    let full = server(Backend::Auto, &["--max-connections", "1"]);
    let _only = Client::open(full.address(), "/room/lobby");
    let mut other = Client::connect(full.address()).expect("it listens");
    other.write(handshake("/room/lobby", &[]).as_bytes());
    let refusal = other.response();
    assert_eq!(refusal.status, 503);
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = listener.local_addr().expect("it is bound").port();
    listener.set_nonblocking(true).expect("it is a socket");
    let _program = start(port);
    let begin = Instant::now();
    refuse(accept(&listener), &[refusal.head.as_bytes(), &refusal.body].concat());
    let again = accept(&listener);
    let told = Duration::from_secs(throng::limits::RETRY_AFTER_SECONDS.into());
    assert!(begin.elapsed() >= told, "it came back after {:?}", begin.elapsed());
    // What proxies and limits say while there is nobody, or no room, is no reason to give up.
    let mut stream = again;
    for status in ["429 Too Many Requests", "502 Bad Gateway", "504 Gateway Timeout"] {
        let refusal =
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        refuse(stream, refusal.as_bytes());
        stream = accept(&listener);
    }
}

fn refuse(mut stream: TcpStream, refusal: &[u8]) {
    stream.set_nonblocking(false).expect("it is a socket");
    let head = stream.read(&mut [0; 4096]).expect("it asks");
    assert!(head > 0);
    stream.write_all(refusal).expect("it listens");
}

#[test]
fn programs_that_are_refused_for_now_wait_as_they_are_told() {
    let Some([python, modules]) = environments() else { return };
    let scratch = Scratch::new();
    thread::scope(|scope| {
        scope.spawn(|| waits_as_it_is_told(|port| node(port, &scratch, &modules)));
        scope.spawn(|| waits_as_it_is_told(|port| in_python(port, &python)));
    });
}

fn node(port: u16, scratch: &Scratch, modules: &str) -> Program {
    let path = scratch.path().join("client.cjs");
    fs::write(&path, code("Node", port)).expect("it is ours");
    Program::start(Command::new("node").arg(path).env("NODE_PATH", modules))
}

fn in_python(port: u16, python: &str) -> Program {
    Program::start(Command::new(python).args(["-c", &code("Python", port)]))
}
