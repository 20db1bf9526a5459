//! Programs that embed the library: found or built by cargo, started at an address of their own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::SystemTime;

use testkit::client::Address;

/// The folder of the workspace.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A program that runs; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Embedder {
    child: Child,
    address: Address,
}

impl Embedder {
    /// Starts a program that takes an address and prints where it listens: ` on ADDRESS/PATH`.
    pub(crate) fn start(program: &Path) -> Self {
        let mut command = Command::new(program);
        command.arg("127.0.0.1:0").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program is there and may be executed");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        output.read_line(&mut line).expect("what it prints is text");
        let place = line.trim().rsplit_once(" on ").map(|(_, place)| place);
        let address = place.and_then(|place| place.split('/').next()?.parse().ok());
        let address = address.unwrap_or_else(|| panic!("it says where it listens, not: {line:?}"));
        // A pipe that is closed would end a program that prints more.
        std::thread::spawn(move || output.lines().for_each(drop));
        Self { child, address }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Writes a line to its standard input.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.stdin(), "{line}").expect("it reads");
    }

    /// Ends its standard input, and waits until it has ended too.
    pub(crate) fn finish(mut self) -> ExitStatus {
        // `wait` closes it.
        self.child.wait().expect("it is a child of ours")
    }

    fn stdin(&mut self) -> &mut ChildStdin {
        self.child.stdin.as_mut().expect("it is piped")
    }
}

impl Drop for Embedder {
    fn drop(&mut self) {
        // One that has ended is no fault.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program of an example: as cargo has built it with these tests, or built now. `cargo test`
/// builds examples, `cargo test --test behaviour` does not, and leaves old ones where they are.
pub(crate) fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its path");
    let folder = own.ancestors().nth(2).expect("tests stand in deps/ of their profile");
    let program = folder.join("examples").join(name);
    if is_newer_than_sources(&program) {
        return program;
    }
    let profile = folder.file_name().and_then(|name| name.to_str()).expect("it is UTF-8");
    let profile = if profile == "debug" { "dev" } else { profile };
    run(cargo(ROOT).args(["build", "--quiet", "--profile", profile, "--example", name]));
    program
}

/// Whether nothing that it is made of has changed since, as far as make(1) would see.
fn is_newer_than_sources(program: &Path) -> bool {
    let Some(built) = changed(program) else { return false };
    let root = Path::new(ROOT);
    let sources = ["src", "examples", "Cargo.toml", "Cargo.lock"].map(|name| root.join(name));
    sources.iter().all(|path| newest(path).is_some_and(|newest| newest <= built))
}

fn newest(path: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| newest(&entry.path())).chain(changed(path)).max()
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// The cargo that built these tests, in a folder.
pub(crate) fn cargo(folder: impl AsRef<Path>) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(folder);
    command
}

/// Runs a command that must succeed, and gives what it wrote to standard output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("cargo is there");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{complaint}");
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}
