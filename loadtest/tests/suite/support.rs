//! Real processes: the loader, and servers of all sorts.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The loader's program.
pub(crate) const LOADTEST: &str = env!("CARGO_BIN_EXE_loadtest");

/// The server's program: of $THRONG_BIN, or built with this test's profile.
pub(crate) fn throng_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(program) = std::env::var_os("THRONG_BIN") {
            return program.into();
        }
        let program = Path::new(LOADTEST).with_file_name("throng");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "throng-cli", "--bin", "throng"]);
        // A profile's programs stand in a folder of its name, but for that of the default one.
        let folder = program.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        let profile = folder.expect("cargo's folders have names in UTF-8");
        build.args(["--profile", if profile == "debug" { "dev" } else { profile }]);
        let status = build.status().expect("cargo runs this test");
        assert!(status.success() && program.is_file(), "{} can be built", program.display());
        program
    })
}

/// The command line of a server at a port of its own, without one for operators.
pub(crate) fn program_at(port: u16) -> String {
    format!("{} --operator off --listen 127.0.0.1:{port}", throng_program().display())
}

/// A server that runs; killed when this is dropped.
pub(crate) struct Throng {
    child: Child,
    pub(crate) address: String,
}

impl Throng {
    /// Starts it at a free port and waits until it listens.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", args)
    }

    /// Starts it at this address and waits until it listens.
    pub(crate) fn start_at(listen: &str, args: &[&str]) -> Self {
        let mut command = Command::new(throng_program());
        command.args(["--listen", listen, "--operator", "off"]).args(args).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server is there");
        let mut log = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut line = String::new();
        let address = loop {
            line.clear();
            let length = log.read_line(&mut line).expect("the log is text");
            assert!(length > 0, "the server ended before it listened");
            if let Some((_, address)) = line.split_once("listening on ") {
                break address.trim().to_owned();
            }
        };
        // A pipe that nobody reads would stop it in the end.
        std::thread::spawn(move || log.lines().for_each(drop));
        Self { child, address }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// How many sockets all of its threads have in their tables.
    pub(crate) fn sockets(&self) -> usize {
        let folder = format!("/proc/{}/task", self.child.id());
        let tasks = std::fs::read_dir(folder).expect("it runs").flatten();
        let tables = tasks.filter_map(|task| std::fs::read_dir(task.path().join("fd")).ok());
        let targets = tables.flat_map(|table| table.flatten());
        let targets = targets.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        targets.filter(|to| to.to_string_lossy().starts_with("socket:")).count()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it is a child of ours");
    }
}

impl Drop for Throng {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the loader to its end.
pub(crate) fn loadtest(args: &[&str]) -> Output {
    Command::new(LOADTEST).args(args).output().expect("it is built")
}

/// Runs the loader and reads its report; gives the exit code too.
pub(crate) fn measure(args: &[&str]) -> (i32, Value) {
    let path = temporary("json");
    let output = Command::new(LOADTEST).args(args).arg("--json").arg(&path).output();
    let output = output.expect("it is built");
    // A failed test shows it.
    print!("{}", String::from_utf8_lossy(&output.stdout));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    std::fs::remove_file(&path).expect("it was just read");
    let code = output.status.code().expect("no signal has ended it");
    (code, serde_json::from_str(&text).expect("it is JSON"))
}

/// As [`measure`], for a run in which all holds; gives the report and its page.
pub(crate) fn page(args: &[&str]) -> (Value, String) {
    let path = temporary("html");
    let html = path.to_string_lossy();
    let (code, report) = measure(&[args, &["--html", &html]].concat());
    assert_eq!(code, 0, "{report}");
    let page = std::fs::read_to_string(&path).expect("it was written");
    std::fs::remove_file(&path).expect("it is ours");
    (report, page)
}

/// A path that nobody else uses.
pub(crate) fn temporary(extension: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("loadtest-{}-{number}.{extension}", std::process::id()))
}

/// A figure of a report.
pub(crate) fn figure(report: &Value, id: &str) -> f64 {
    let sections = report["sections"].as_array().expect("a report has sections");
    let figures = sections.iter().flat_map(|section| section["figures"].as_array());
    let figure = figures.flatten().find(|figure| figure["id"] == id);
    figure.unwrap_or_else(|| panic!("no figure {id}"))["value"]
        .as_f64()
        .expect("a value is a number")
}

/// Microseconds at a percentile of a latency.
pub(crate) fn percentile_us(report: &Value, id: &str, percentile: f64) -> f64 {
    let latencies = report["latencies"].as_array().expect("a report has latencies");
    let latency = latencies.iter().find(|latency| latency["id"] == id);
    let points = latency.expect("the latency is there")["percentiles"].as_array();
    let at = points
        .expect("it has percentiles")
        .iter()
        .find(|point| point[0].as_f64().is_some_and(|other| (other - percentile).abs() < 1e-9));
    at.expect("it has this percentile")[1].as_f64().expect("microseconds are a number")
}

/// A port where nobody listens.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    listener.local_addr().expect("it is bound").port()
}
