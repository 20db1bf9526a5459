//! The log: what it says, and that nobody waits for it or dies of it.

use std::fs::File;
use std::io::{PipeReader, Read, Write, pipe};
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use testkit::client::{Address, Client, close, text};
use testkit::process::{Launch, Signal};
use throng::config::Backend;

use crate::support::{PROGRAM, Scratch, clients, comes_to_hold, ms, name, server};

on_both!(
    with_a_log_that_cannot_be_written_it_stops_in_peace,
    with_a_log_that_cannot_be_written_a_second_signal_ends_it_at_once,
    with_a_log_that_cannot_be_written_a_start_that_fails_ends_with_its_code,
    what_waits_is_written_before_the_end,
);

/// What standard error is.
#[derive(Clone, Copy, Debug)]
enum Log {
    /// A file on a full disk.
    Full,
    /// A pipe whose reader has gone.
    ReaderGone,
    /// A pipe that is full and that nobody reads.
    Unread,
    /// Not open.
    Closed,
}

const ALL: [Log; 4] = [Log::Full, Log::ReaderGone, Log::Unread, Log::Closed];

/// A server with such a log; it is killed when this is dropped.
struct Server {
    child: Child,
    /// Open, so that the pipe has a reader.
    _reader: Option<PipeReader>,
}

impl Server {
    fn start(log: Log, backend: Backend, args: &[&str]) -> Self {
        let mut reader = None;
        let mut command = match log {
            Log::Closed => {
                let mut shell = Command::new("sh");
                shell.args(["-c", "exec \"$@\" 2>&-", "sh", PROGRAM]);
                shell
            }
            _ => Command::new(PROGRAM),
        };
        command.stderr(match log {
            Log::Closed => Stdio::null(),
            Log::Full => File::create("/dev/full").expect("full(4)").into(),
            Log::ReaderGone => pipe().expect("there are descriptors").1.into(),
            Log::Unread => {
                let (read, mut write) = pipe().expect("there are descriptors");
                let capacity = fcntl(&write, FcntlArg::F_GETPIPE_SZ).expect("it is a pipe");
                let capacity = usize::try_from(capacity).expect("it is positive");
                write.write_all(&vec![b'x'; capacity]).expect("so much fits");
                reader = Some(read);
                write.into()
            }
        });
        command.args(["--backend", name(backend)]).args(args).stdin(Stdio::null());
        command.env("RUST_LOG", "trace").stdout(Stdio::null());
        Self { child: command.spawn().expect("it may be executed"), _reader: reader }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("pids are positive"));
        kill(pid, signal).expect("it was not waited for");
    }

    fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        let has_ended = || {
            status = self.child.try_wait().expect("it is a child of ours");
            status.is_some()
        };
        assert!(comes_to_hold(has_ended), "it runs on");
        status.expect("it has ended").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that listens at a path, and its address.
fn listening(log: Log, backend: Backend, args: &[&str], scratch: &Scratch) -> (Server, Address) {
    let unix = scratch.unix("throng.sock");
    let server = Server::start(log, backend, &[&["--listen", &unix], args].concat());
    let address: Address = unix.parse().expect("it is one");
    let listens = || Client::connect(&address).is_ok();
    assert!(comes_to_hold(listens), "{log:?}: it does not listen");
    (server, address)
}

fn with_a_log_that_cannot_be_written_it_stops_in_peace(backend: Backend) {
    for (log, signal) in ALL.into_iter().zip([Signal::SIGTERM, Signal::SIGINT].repeat(2)) {
        let scratch = Scratch::new();
        let (mut server, address) = listening(log, backend, &["--workers", "2"], &scratch);
        let mut room: [Client; 8] = clients(&address, "/room/a");
        // Each makes a line.
        [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2].iter().for_each(|s| server.signal(*s));
        room[0].write(&text("hello"));
        for client in &mut room {
            assert_eq!(client.frame().payload, b"hello", "{log:?}");
        }
        server.signal(signal);
        for client in &mut room {
            assert_eq!(client.close_code(), 1001, "{log:?}");
            client.write(&close(1001));
        }
        assert_eq!(server.exit_code(), Some(0), "{log:?}");
    }
}

fn with_a_log_that_cannot_be_written_a_second_signal_ends_it_at_once(backend: Backend) {
    for log in ALL {
        let scratch = Scratch::new();
        let args = ["--workers", "1", "--drain", "10m"];
        let (mut server, address) = listening(log, backend, &args, &scratch);
        let mut deaf = Client::open(&address, "/echo");
        server.signal(Signal::SIGTERM);
        assert_eq!(deaf.close_code(), 1001, "{log:?}");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.exit_code(), Some(1), "{log:?}");
    }
}

fn with_a_log_that_cannot_be_written_a_start_that_fails_ends_with_its_code(backend: Backend) {
    for log in ALL {
        // TEST-NET-1: no machine has it.
        let mut server = Server::start(log, backend, &["--listen", "192.0.2.1:1"]);
        assert_eq!(server.exit_code(), Some(1), "{log:?}");
        let mut confused = Server::start(log, backend, &["--listen", "nowhere"]);
        // With a full pipe it waits for a reader: nobody is served yet who could be harmed.
        if !matches!(log, Log::Unread) {
            assert_eq!(confused.exit_code(), Some(2), "{log:?}");
        }
    }
}

fn what_waits_is_written_before_the_end(backend: Backend) {
    let mut server = server(backend, &[]);
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        server.signal(signal);
        assert!(server.wait_for_log(signal.as_str(), ms(10_000)), "{}", server.log());
    }
    server.signal(Signal::SIGPIPE);
    let mut client = Client::open(server.address(), "/echo");
    client.write(&text("still here"));
    assert_eq!(client.frame().payload, b"still here");
    client.write(&close(1000));
    assert_eq!(client.close_code(), 1000);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(ms(10_000)), 0);
    let log = server.log();
    assert!(log.contains("SIGHUP: the options are read again"), "{log}");
    assert!(log.lines().last().is_some_and(|line| line.contains("stopped: ")), "{log}");
    assert!(!log.contains("lost"), "{log}");
}

#[test]
fn a_reader_that_comes_late_finds_what_has_waited() {
    let scratch = Scratch::new();
    let (mut server, _address) = listening(Log::Unread, Backend::Epoll, &[], &scratch);
    let mut reader = server._reader.take().expect("it is unread");
    let text = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("it is UTF-8");
        text
    });
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), Some(0));
    let text = text.join().expect("reading does not panic");
    assert!(text.contains("listening on unix:") && text.contains("stopped: "), "{text}");
}

#[test]
fn the_level_decides_and_rust_log_wins_over_it() {
    let start = |args: &[&str], rust_log: Option<&str>| {
        let args = ["--listen", "192.0.2.1:1"].into_iter().chain(args.iter().copied());
        let launch = Launch::new(PROGRAM).args(args).env("THRONG_LISTENS", "typo");
        let launch = rust_log.into_iter().fold(launch, |all, log| all.env("RUST_LOG", log));
        launch.run(ms(10_000)).stderr
    };
    for (args, rust_log, is_warned) in [
        (&[][..], None, true),
        (&["--log-level", "warn"], None, true),
        (&["--log-level", "error"], None, false),
        (&["--log-level", "error"], Some("warn"), true),
        (&["--log-level", "trace"], Some("error"), false),
        (&["--log-level", "warn"], Some(""), true),
    ] {
        let log = start(args, rust_log);
        assert_eq!(log.contains("THRONG_LISTENS"), is_warned, "{args:?} {rust_log:?}: {log}");
        assert!(log.contains("throng: cannot listen"), "{log}");
    }
    let log = start(&[], Some("info,[[["));
    assert!(log.contains("RUST_LOG is not understood"), "{log}");
}
