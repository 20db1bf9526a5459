//! The server that is measured: started here, or only watched.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::server_log::ServerLog;
use crate::signals;
use loadtest::units::Cpus;

/// How long a server may take until it accepts.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server may take to stop after SIGTERM, before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The server that was started, so that it can be ended from anywhere.
static STARTED: Mutex<Option<Pid>> = Mutex::new(None);

/// The process that serves.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) pid: Pid,
    child: Option<Child>,
    log: Option<ServerLog>,
    orders: Orders,
}

/// Whether it was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Orders {
    Serve,
    Stop,
}

impl Server {
    /// Starts a command on these CPUs and waits until it accepts at `address`.
    pub(crate) fn spawn(
        command: &str,
        address: SocketAddr,
        cpus: Option<&Cpus>,
    ) -> Result<Self, String> {
        if is_accepting(address) {
            return Err(format!("something listens at {address} already; stop it or take --url"));
        }
        let child = on_cpus(cpus, || {
            // In a group of its own: Ctrl-C is for the loader, which then stops the server.
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("exec {command}")).process_group(0);
            shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr());
            signals::start_open(|| shell.spawn())
        })??;
        let mut child = child.map_err(|error| format!("{command}: {error}"))?;
        let pid = Pid::from_raw(child.id() as i32);
        *STARTED.lock().expect("no holder panics") = Some(pid);
        let log = child.stderr.take().map(ServerLog::read);
        let mut server = Self { pid, child: Some(child), log, orders: Orders::Serve };
        let begin = Instant::now();
        while !is_accepting(address) {
            if let Some(status) = server.has_ended() {
                let said = server.last_words();
                return Err(format!("`{command}` ended with {status} before it listened{said}"));
            }
            if begin.elapsed() > START_TIMEOUT {
                return Err(format!("`{command}` does not listen at {address}{LOG_HINT}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Watches a process that somebody else has started.
    pub(crate) fn watch(pid: i32, cpus: Option<&Cpus>) -> Result<Self, String> {
        let pid = Pid::from_raw(pid);
        let found = if pid.as_raw() > 0 { kill(pid, None) } else { Err(Errno::ESRCH) };
        match found {
            Ok(()) => {}
            Err(Errno::EPERM) => {
                return Err(format!(
                    "--server-pid {pid}: it is another user's, whose memory cannot be read; run \
                     loadtest as that user or as root"
                ));
            }
            Err(_) => return Err(format!("--server-pid {pid}: there is no such process")),
        }
        if let Some(cpus) = cpus {
            let set = cpu_set(cpus)?;
            for task in tasks(pid).map_err(|error| format!("/proc/{pid}/task: {error}"))? {
                sched_setaffinity(task, &set).map_err(|error| {
                    format!("the server cannot be pinned to {:?}: {error}", cpus.0)
                })?;
            }
        }
        Ok(Self { pid, child: None, log: None, orders: Orders::Serve })
    }

    /// How it ended, if it has.
    fn has_ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        forget_started();
        Some(status.to_string())
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        if self.child.is_some() { self.has_ended().is_none() } else { is_alive(self.pid) }
    }

    /// Tells it to stop, and does not wait for it.
    pub(crate) fn terminate(&mut self) -> Result<(), String> {
        self.orders = Orders::Stop;
        kill(self.pid, Signal::SIGTERM)
            .map_err(|error| format!("the server {} cannot be told to stop: {error}", self.pid))
    }

    /// What the process is called.
    pub(crate) fn program(&self) -> Option<String> {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.pid)).ok()?;
        Some(name.trim_end().to_owned())
    }

    /// What it waits for the kernel with, as its descriptors tell.
    pub(crate) fn backend(&self) -> Option<&'static str> {
        let tables = tasks(self.pid).ok()?;
        let has = |wanted: &str| tables.iter().any(|task| has_descriptor(*task, wanted));
        match (has("anon_inode:[io_uring]"), has("anon_inode:[eventpoll]")) {
            (true, false) => Some("io_uring"),
            (true, true) => Some("io_uring and epoll"),
            (false, true) => Some("epoll"),
            (false, false) => None,
        }
    }

    /// Stops it, if it was started here; gives the last lines that it said, and what was wrong
    /// with its end.
    pub(crate) fn stop(mut self) -> (Vec<String>, Option<String>) {
        let problem = self.end().unwrap_or_else(|error| Some(error.to_string()));
        (self.log.take().map(|log| log.after_end()).unwrap_or_default(), problem)
    }

    /// What one that has ended said last, to be put behind a message.
    pub(crate) fn last_words(&self) -> String {
        let lines = self.log.as_ref().map(ServerLog::after_end).unwrap_or_default();
        lines.last().map(|line| format!("; it said last: {line}")).unwrap_or_default()
    }

    fn end(&mut self) -> io::Result<Option<String>> {
        let Some(mut child) = self.child.take() else { return Ok(None) };
        let mut problem = None;
        if let Some(status) = child.try_wait()? {
            if self.orders == Orders::Serve {
                problem = Some(format!("the server had ended by itself: {status}"));
            } else if !is_stopped(status) {
                problem = Some(format!("told to stop, the server ended: {status}"));
            }
        } else {
            kill(self.pid, Signal::SIGTERM)?;
            let begin = Instant::now();
            let status = loop {
                if let Some(status) = child.try_wait()? {
                    break status;
                }
                if begin.elapsed() > STOP_TIMEOUT {
                    child.kill()?;
                }
                std::thread::sleep(Duration::from_millis(10));
            };
            if !is_stopped(status) {
                let waited = begin.elapsed().as_secs();
                let end = format!("told to stop, the server ended {waited} s later: {status}");
                problem = Some(end);
            }
        }
        forget_started();
        Ok(problem)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.end();
    }
}

/// Whether a process still does something: one that has ended may wait for its parent to see it.
fn is_alive(pid: Pid) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name stands in brackets, and may have any in it.
    let state = stat.rsplit_once(')').map_or("", |(_, behind)| behind.trim_start());
    !state.starts_with(['Z', 'X'])
}

/// Whether a server ended as one does that was told to: by itself, or by the signal, which a shell
/// tells as a code.
fn is_stopped(status: ExitStatus) -> bool {
    const TERMINATED: i32 = Signal::SIGTERM as i32;
    let is_terminated = status.signal() == Some(TERMINATED);
    status.success() || is_terminated || status.code() == Some(128 + TERMINATED)
}

/// Ends a server that was started, in an emergency.
pub(crate) fn kill_started() {
    if let Some(pid) = STARTED.lock().ok().and_then(|mut started| started.take()) {
        // It may have ended by itself.
        let _ = kill(pid, Signal::SIGKILL);
    }
}

fn forget_started() {
    *STARTED.lock().expect("no holder panics") = None;
}

const LOG_HINT: &str = "; LOADTEST_SERVER_LOG=1 shows what it says";

/// What a server logs would break the progress bars, so it is only shown when asked for.
fn stderr() -> Stdio {
    let is_wanted = std::env::var_os("LOADTEST_SERVER_LOG").is_some();
    if is_wanted { Stdio::inherit() } else { Stdio::piped() }
}

fn is_accepting(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

fn tasks(pid: Pid) -> io::Result<Vec<Pid>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
    let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
    Ok(ids.map(Pid::from_raw).collect())
}

/// Descriptors of a table that are looked at: servers wait with one of the first that they open,
/// and behind it come very many connections.
const DESCRIPTORS_LOOKED_AT: usize = 256;

fn has_descriptor(task: Pid, wanted: &str) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{task}/fd")).into_iter().flatten();
    let mut links = descriptors
        .take(DESCRIPTORS_LOOKED_AT)
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.any(|link| link.as_os_str() == wanted)
}

/// Does something while this thread is on some CPUs; what it starts stays there.
fn on_cpus<T>(cpus: Option<&Cpus>, run: impl FnOnce() -> T) -> Result<T, String> {
    let Some(cpus) = cpus else { return Ok(run()) };
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this).map_err(|error| error.to_string())?;
    pin_this_thread(cpus)?;
    let result = run();
    sched_setaffinity(this, &before).map_err(|error| error.to_string())?;
    Ok(result)
}

/// Puts this thread, and what it starts from now on, on some CPUs.
pub(crate) fn pin_this_thread(cpus: &Cpus) -> Result<(), String> {
    sched_setaffinity(Pid::from_raw(0), &cpu_set(cpus)?)
        .map_err(|error| format!("cannot run on CPUs {:?}: {error}; see `nproc`", cpus.0))
}

/// The CPUs that a process may run on; 0 is this thread.
pub(crate) fn allowed_cpus(pid: Pid) -> Vec<usize> {
    let set = sched_getaffinity(pid).unwrap_or_default();
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect()
}

fn cpu_set(cpus: &Cpus) -> Result<CpuSet, String> {
    let mut set = CpuSet::new();
    for cpu in &cpus.0 {
        set.set(*cpu).map_err(|error| format!("CPU {cpu}: {error}"))?;
    }
    Ok(set)
}
