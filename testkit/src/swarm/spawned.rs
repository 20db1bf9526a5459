//! The server as a process of its own, for what must be seen from outside: memory, signals, calls.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a server may take until it listens, also under a tracer.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// What its last line begins with, before the counts.
const COUNTED: &str = "stopped: ";

/// A server; it is killed when this is dropped.
#[derive(Debug)]
pub struct Spawned {
    child: Child,
    log: Arc<Mutex<String>>,
    address: SocketAddr,
}

impl Spawned {
    /// Starts a server on a port of the kernel's choice and waits until it listens.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[must_use]
    pub fn start(program: &Path, args: &[&str]) -> Self {
        Self::start_wrapped(&[], program, args)
    }

    /// As [`Spawned::start`], behind a command that becomes the server by exec.
    ///
    /// # Panics
    ///
    /// If it does not listen.
    #[must_use]
    pub fn start_wrapped(wrapper: &[&str], program: &Path, args: &[&str]) -> Self {
        let program = program.to_str().expect("paths of this build are UTF-8");
        let mut words = wrapper.iter().copied().chain([program]);
        let mut command = Command::new(words.next().expect("there is the program at least"));
        command.args(words).args(["--listen", "127.0.0.1:0"]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let inherited = std::env::vars_os().map(|(name, _)| name);
        for name in inherited.filter(|name| name.to_string_lossy().starts_with("THRONG_")) {
            command.env_remove(name);
        }
        // Unless arguments tell otherwise: all servers would want the same port.
        command.env("THRONG_OPERATOR", "off");
        let mut child = command.spawn().expect("the program is there and may be executed");
        let stderr = child.stderr.take().expect("it is piped");
        let log = Arc::new(Mutex::new(String::new()));
        thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                    log.push_str(&line);
                    log.push('\n');
                }
            }
        });
        let mut server = Self { child, log, address: ([0, 0, 0, 0], 0).into() };
        let until = Instant::now() + START_TIMEOUT;
        while server.address.port() == 0 {
            let log = server.log();
            assert!(Instant::now() < until, "the server does not listen:\n{log}");
            assert!(server.wait(Duration::ZERO).is_none(), "the server has ended:\n{log}");
            let mut lines = log.lines().filter_map(|line| line.split_once("listening on "));
            match lines.next() {
                Some((_, address)) => {
                    server.address = address.trim().parse().expect("the log has addresses");
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
        server
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has said.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Holds all its threads; what comes waits in its sockets.
    pub fn hold(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("pids are positive");
        kill(Pid::from_raw(pid), signal).expect("it was not waited for");
    }

    /// Waits for its exit; `None` if it runs on.
    pub fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + within;
        loop {
            let status = self.child.try_wait().expect("it is a child of ours");
            if status.is_some() || Instant::now() >= until {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Resident memory, in KiB.
    #[must_use]
    pub fn rss_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most memory that was resident at any time, in KiB.
    #[must_use]
    pub fn peak_rss_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// Ends a server whose clients are gone, and gives what its last line counts.
    ///
    /// # Panics
    ///
    /// If it does not end.
    #[must_use]
    pub fn stop_and_count(mut self, within: Duration) -> HashMap<String, u64> {
        self.terminate();
        let status = self.wait(within).expect("it ends when asked to");
        assert!(status.success(), "{status}");
        let has_counted = || self.log().contains(COUNTED);
        let until = Instant::now() + within;
        while !has_counted() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let log = self.log();
        let (_, counts) = log.split_once(COUNTED).expect("its last line has the counts");
        let counts = counts.split_ascii_whitespace().filter_map(|word| word.split_once('='));
        let number = |text: &str| text.parse().expect("a count is a number");
        counts.map(|(name, count)| (name.to_owned(), number(count))).collect()
    }

    fn status_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.expect("proc(5) has the field").parse().expect("it is a number")
    }

    /// Descriptors in the table of each of its threads, in the order of thread ids.
    #[must_use]
    pub fn descriptors(&self) -> Vec<usize> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let mut tasks: Vec<_> = tasks.filter_map(|task| Some(task.ok()?.path())).collect();
        tasks.sort();
        let count = |task: &PathBuf| Some(fs::read_dir(task.join("fd")).ok()?.count());
        tasks.iter().filter_map(count).collect()
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the log of the server:\n{}", self.log());
        }
    }
}
