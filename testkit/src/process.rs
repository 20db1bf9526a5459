//! A server as a process of its own: started, watched, signalled and always ended.
//!
//! Nothing here knows what the server does: it is a program that says `listening on ADDRESS`.

#![allow(clippy::disallowed_methods, reason = "tests live in real time")]

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use nix::sys::signal::Signal;

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::client::Address;

/// How long a server may take until it listens; a busy machine is no fault of the server.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// What a log line says of an address, before the address.
const LISTENING: &str = "listening on ";

/// The log line that comes behind the last address.
const STARTED: &str = ", room for ";

/// What /proc counts CPU time in: USER_HZ, the same on every machine of today.
const TICKS_PER_SECOND: u64 = 100;

/// What to start, and how.
#[derive(Clone, Debug)]
pub struct Launch {
    wrapper: Vec<OsString>,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    nofile: Option<u64>,
    /// Descriptors from 3 on.
    passed: Vec<Arc<OwnedFd>>,
}

/// A program that ended by itself.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The exit code, if no signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

/// A server that runs; it is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Arc<Log>,
    reader: Option<JoinHandle<()>>,
    addresses: Vec<Address>,
}

/// One thread of a process, as /proc shows it.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// The CPUs that it may run on.
    pub cpus: Vec<usize>,
    /// What its descriptors point to.
    pub descriptors: Vec<String>,
}

#[derive(Debug, Default)]
struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct LogState {
    text: String,
    is_over: bool,
}

impl Launch {
    /// A program without arguments, with the environment of the test but for `THRONG_*`, and
    /// without an operator's port unless arguments tell otherwise: all would want the same.
    pub fn new(program: impl AsRef<Path>) -> Self {
        Self {
            wrapper: Vec::new(),
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: vec![("THRONG_OPERATOR".into(), "off".into())],
            nofile: None,
            passed: Vec::new(),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets the soft and the hard limit of descriptors.
    #[must_use]
    pub fn nofile(mut self, limit: u64) -> Self {
        self.nofile = Some(limit);
        self
    }

    /// Passes descriptors as a service manager does (sd_listen_fds(3)), with these names.
    #[must_use]
    pub fn passing(self, passed: &[(String, Arc<OwnedFd>)]) -> Self {
        let names: Vec<&str> = passed.iter().map(|(name, _)| name.as_str()).collect();
        let mut launch = self
            .env("LISTEN_FDS", &passed.len().to_string())
            .env("LISTEN_FDNAMES", &names.join(":"))
            .wrapped(["sh", "-c", "LISTEN_PID=$$ exec \"$0\" \"$@\""]);
        launch.passed = passed.iter().map(|(_, descriptor)| Arc::clone(descriptor)).collect();
        launch
    }

    /// Puts a command in front that becomes the program by exec, so that the pid stays.
    #[must_use]
    pub fn wrapped<A: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = A>) -> Self {
        self.wrapper.extend(wrapper.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Starts a server and waits until it listens.
    ///
    /// # Panics
    ///
    /// If it does not listen in time; the log is in the message.
    #[must_use]
    pub fn start(&self) -> Process {
        self.try_start().unwrap_or_else(|log| panic!("the server did not start:\n{log}"))
    }

    /// As [`Launch::start`], for a server that may refuse to.
    ///
    /// # Errors
    ///
    /// The log of a server that has not started.
    pub fn try_start(&self) -> Result<Process, String> {
        let mut child = self.command().spawn().expect("the program is there and may be executed");
        let stderr = child.stderr.take().expect("it is piped");
        drop(child.stdout.take());
        let log = Arc::new(Log::default());
        let reader = thread::spawn({
            let log = Arc::clone(&log);
            move || log.fill(BufReader::new(stderr))
        });
        let mut process = Process { child, log, reader: Some(reader), addresses: Vec::new() };
        let has_started = process.wait_for_log(STARTED, START_TIMEOUT);
        let text = process.log();
        if !has_started {
            return Err(text);
        }
        let addresses = text.lines().filter_map(|line| line.split_once(LISTENING));
        process.addresses = addresses
            .map(|(_, address)| {
                // Where the log is JSON, a quote ends it.
                let address = address.split('"').next().unwrap_or(address);
                address.trim().parse().expect("the log has addresses")
            })
            .collect();
        Ok(process)
    }

    /// Runs a program that is expected to end by itself; kills it after `within`.
    ///
    /// # Panics
    ///
    /// If it has not ended by then.
    #[must_use]
    pub fn run(&self, within: Duration) -> Finished {
        let begin = Instant::now();
        let mut child = self.command().spawn().expect("the program is there and may be executed");
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        let stdout = thread::spawn(move || read_text(stdout));
        let stderr = thread::spawn(move || read_text(stderr));
        let status = wait_until(&mut child, begin + within);
        if status.is_none() {
            end(&mut child);
        }
        let took = begin.elapsed();
        let stdout = stdout.join().expect("reading does not panic");
        let stderr = stderr.join().expect("reading does not panic");
        let status = status.unwrap_or_else(|| panic!("it runs on:\n{stdout}{stderr}"));
        Finished { code: status.code(), stdout, stderr, took }
    }

    fn command(&self) -> Command {
        let limit = self.nofile.map(|limit| limit.to_string());
        let limits = limit.iter().flat_map(|limit| {
            ["sh", "-c", "ulimit -n \"$0\" && exec \"$@\"", limit.as_str()].map(OsString::from)
        });
        let program = self.program.clone().into_os_string();
        let mut words =
            limits.chain(self.wrapper.iter().cloned()).chain([program]).chain(self.args.clone());
        let mut command = Command::new(words.next().expect("there is the program at least"));
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let inherited = std::env::vars_os().map(|(name, _)| name);
        for name in inherited.filter(|name| name.to_string_lossy().starts_with("THRONG_")) {
            command.env_remove(name);
        }
        command.env_remove("RUST_LOG").envs(self.env.iter().cloned());
        let mappings = self.passed.iter().zip(3..).map(|(descriptor, child_fd)| {
            let parent_fd = descriptor.try_clone().expect("there are descriptors");
            FdMapping { parent_fd, child_fd }
        });
        command.fd_mappings(mappings.collect()).expect("each number is there once");
        command
    }
}

impl Process {
    /// Where it listens, in the order of its log.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The first address.
    #[must_use]
    pub fn address(&self) -> &Address {
        self.addresses.first().expect("a server that has started listens")
    }

    /// The first TCP address.
    #[must_use]
    pub fn tcp(&self) -> SocketAddr {
        let tcp = self.addresses.iter().find_map(|address| match address {
            Address::Tcp(tcp) => Some(*tcp),
            Address::Unix(_) => None,
        });
        tcp.expect("the server listens on TCP")
    }

    /// The port of the first TCP address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.tcp().port()
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().text.clone()
    }

    /// Waits until the log holds a text; false if it does not come, or the log has ended.
    #[must_use]
    pub fn wait_for_log(&self, text: &str, within: Duration) -> bool {
        let waits = |state: &mut LogState| !state.text.contains(text) && !state.is_over;
        let state = self.log.changed.wait_timeout_while(self.log.lock(), within, waits);
        state.unwrap_or_else(PoisonError::into_inner).0.text.contains(text)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.nix_pid(), signal).expect("the process is ours and was not waited for");
    }

    /// Waits for the exit; `None` if it runs on.
    pub fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let status = wait_until(&mut self.child, Instant::now() + within)?;
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading the log does not panic");
        }
        Some(status)
    }

    /// Waits for the exit and gives its code.
    ///
    /// # Panics
    ///
    /// If it runs on, or a signal has ended it.
    pub fn exit_code(&mut self, within: Duration) -> i32 {
        let status = self.wait(within);
        let log = self.log();
        let status = status.unwrap_or_else(|| panic!("it runs on after {within:?}:\n{log}"));
        assert_eq!(status.signal(), None, "ended by a signal:\n{log}");
        status.code().expect("no signal has ended it")
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is a child of ours").is_none()
    }

    /// Resident memory, in bytes.
    #[must_use]
    pub fn rss_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// The most memory that was resident at any time, in bytes.
    #[must_use]
    pub fn peak_rss_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// Memory that is its own and writable, resident or not, in bytes.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.status_bytes("VmData:")
    }

    /// CPU time of all threads so far.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        let stat = self.read_proc("stat");
        let fields = stat.rsplit_once(')').expect("proc(5): the name is in brackets").1;
        let ticks = fields.split_ascii_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|field| field.parse::<u64>().expect("utime and stime")).sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    /// CPU time of all threads so far, as the scheduler counts it: to the nanosecond.
    #[must_use]
    pub fn scheduled_time(&self) -> Duration {
        Duration::from_nanos(self.sum_of_tasks(|task| {
            let stat = fs::read_to_string(task.join("schedstat")).ok()?;
            stat.split_ascii_whitespace().next()?.parse().ok()
        }))
    }

    /// How often its threads have gone to sleep so far.
    #[must_use]
    pub fn sleeps(&self) -> u64 {
        self.sum_of_tasks(|task| {
            let status = fs::read_to_string(task.join("status")).ok()?;
            let line =
                status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line?.trim().parse().ok()
        })
    }

    /// A thread that ends meanwhile counts nothing.
    fn sum_of_tasks(&self, of: impl Fn(&Path) -> Option<u64>) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it runs");
        tasks.filter_map(|task| of(&task.ok()?.path())).sum()
    }

    /// Its threads.
    #[must_use]
    pub fn tasks(&self) -> Vec<Task> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it runs");
        let tasks = tasks.filter_map(|task| task_at(&task.ok()?.path()));
        tasks.collect()
    }

    /// How many sockets are open in the tables of all threads, each counted once.
    #[must_use]
    pub fn sockets(&self) -> usize {
        let tasks = self.tasks();
        let targets = tasks.iter().flat_map(|task| &task.descriptors);
        targets.filter(|to| to.starts_with("socket:")).collect::<HashSet<_>>().len()
    }

    fn status_bytes(&self, name: &str) -> u64 {
        let status = self.read_proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).map(str::parse::<u64>);
        kib.expect("proc(5) has the field").expect("it is a number") * 1024
    }

    fn read_proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid())).expect("it runs")
    }

    fn nix_pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.pid()).expect("pids are positive"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.child);
        if thread::panicking() {
            // The harness shows it beside the failure.
            eprintln!("the log of the server:\n{}", self.log());
        }
    }
}

impl Log {
    fn lock(&self) -> std::sync::MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, mut stderr: impl BufRead) {
        let mut line = Vec::new();
        while stderr.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            self.lock().text.push_str(&String::from_utf8_lossy(&line));
            self.changed.notify_all();
            line.clear();
        }
        self.lock().is_over = true;
        self.changed.notify_all();
    }
}

/// The CPUs of a list like `0-3,8`, as /proc writes them.
#[must_use]
pub fn parse_cpus(list: &str) -> Vec<usize> {
    let number = |text: &str| text.trim().parse::<usize>().expect("a list of CPUs has numbers");
    let ranges =
        list.trim().split(',').map(|range| range.split_once('-').unwrap_or((range, range)));
    ranges.flat_map(|(first, last)| number(first)..=number(last)).collect()
}

fn task_at(path: &Path) -> Option<Task> {
    let name = fs::read_to_string(path.join("comm")).ok()?.trim().to_owned();
    let status = fs::read_to_string(path.join("status")).ok()?;
    let cpus = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let descriptors = fs::read_dir(path.join("fd")).ok()?;
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let descriptors = targets.map(|target| target.to_string_lossy().into_owned()).collect();
    Some(Task { name, cpus: parse_cpus(cpus), descriptors })
}

fn wait_until(child: &mut Child, until: Instant) -> Option<ExitStatus> {
    loop {
        let status = child.try_wait().expect("it is a child of ours");
        if status.is_some() || Instant::now() >= until {
            return status;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn end(child: &mut Child) {
    // It may have ended already.
    let _ = child.kill();
    let _ = child.wait();
}

fn read_text(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    // What came before an error is still worth showing.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
