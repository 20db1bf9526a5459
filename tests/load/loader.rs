//! The load generator beside the server, as a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::support::program_built_here;

/// What a run has found.
pub(crate) struct Report(Value);

/// Builds it with the profile of these tests, or finds it built.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = program_built_here().with_file_name("loadtest");
        let folder = program.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        let profile = match folder.expect("cargo's folders have names in UTF-8") {
            "debug" => "dev",
            profile => profile,
        };
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "loadtest", "--profile", profile]);
        let status = build.status().expect("cargo runs this test");
        assert!(status.success() && program.is_file(), "{} can be built", program.display());
        program
    })
}

/// Runs it to its end; all that it expects must hold.
pub(crate) fn measure(args: &[&str]) -> Report {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("throng-load-{}-{number}.json", std::process::id());
    let path = std::env::temp_dir().join(name);
    let output = Command::new(program()).args(args).arg("--json").arg(&path).output();
    let output = output.expect("it is built");
    let said = String::from_utf8_lossy(&output.stderr);
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{found}\n{said}");
    let text = fs::read_to_string(&path).expect("a run that has ended well has written it");
    fs::remove_file(&path).expect("it is ours");
    Report(serde_json::from_str(&text).expect("it is JSON"))
}

impl Report {
    /// The value of a figure.
    pub(crate) fn figure(&self, id: &str) -> f64 {
        let sections = self.0["sections"].as_array().expect("a report has sections");
        let mut figures = sections.iter().filter_map(|section| section["figures"].as_array());
        let figure = figures.find_map(|all| all.iter().find(|figure| figure["id"] == id));
        let figure = figure.unwrap_or_else(|| panic!("no figure {id} in {}", self.0));
        figure["value"].as_f64().expect("a value is a number")
    }

    /// The values of some figures.
    pub(crate) fn figures<const N: usize>(&self, ids: [&str; N]) -> [f64; N] {
        ids.map(|id| self.figure(id))
    }
}
