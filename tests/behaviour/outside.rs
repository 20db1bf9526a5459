//! A program outside of the workspace, with nothing but a path to the library.

use std::fs;
use std::path::Path;

use testkit::client::{Client, close, text};

use crate::embedders::{Embedder, ROOT, cargo, run};
use crate::support::Scratch;

/// What no program gets with the library, whatever it switches on.
const NEVER: &[&str] = &["clap", "clap_builder", "toml", "tracing-subscriber"];

/// What it gets with default features at most.
const BY_DEFAULT: &[&str] = &["tokio", "axum", "hyper"];

/// Writes the program to a folder and gives its manifest.
fn write_program(folder: &Path) {
    let root = fs::canonicalize(ROOT).expect("the workspace is there");
    let manifest = include_str!("outside/manifest.toml");
    let manifest = manifest.replace("@ROOT@", root.to_str().expect("its path is UTF-8"));
    let source = folder.join("src");
    fs::create_dir(&source).expect("the folder is new");
    fs::write(folder.join("Cargo.toml"), manifest).expect("the folder is ours");
    fs::write(source.join("main.rs"), include_str!("outside/program.rs")).expect("likewise");
    // The versions that are here, so that nothing has to be fetched.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).expect("it is there");
}

fn said(client: &mut Client) -> String {
    String::from_utf8(client.frame().payload).expect("it is text")
}

#[test]
fn a_program_outside_of_the_workspace_builds_and_serves_its_own_protocol() {
    let scratch = Scratch::new();
    write_program(scratch.path());
    // It stays from one run to the next.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside");
    run(cargo(scratch.path()).args(["build", "--offline"]).env("CARGO_TARGET_DIR", &target));
    let mut outside = Embedder::start(&target.join("debug/outside"));

    let mut shouting = Client::open(outside.address(), "/shout");
    let mut listening = Client::open(outside.address(), "/shout");
    shouting.write(&[text("may I?"), text("hello")].concat());
    assert_eq!([(); 2].map(|()| said(&mut shouting)), ["go on", "HELLO"]);
    assert_eq!(said(&mut listening), "HELLO");
    outside.tell("from outside");
    assert_eq!([said(&mut shouting), said(&mut listening)], ["from outside", "from outside"]);
    listening.write(&text("let me"));
    assert_eq!(listening.close_code(), 1008, "another thread has refused");
    listening.write(&close(1008));

    let mut echoing = Client::open(outside.address(), "/echo");
    echoing.write(&text("ours beside its own"));
    assert_eq!(said(&mut echoing), "ours beside its own");
    let mut staying = [shouting, echoing];
    let status = std::thread::scope(|scope| {
        let finishing = scope.spawn(|| outside.finish());
        for client in &mut staying {
            assert_eq!(client.close_code(), 1001);
            client.write(&close(1001));
        }
        finishing.join().expect("it does not panic")
    });
    assert!(status.success(), "{status}");
}

#[test]
fn the_library_brings_neither_a_command_line_nor_a_log_nor_a_runtime() {
    let tree = |features: &str| {
        let words = ["tree", "--offline", "--locked", "--package", "throng", features];
        run(cargo(ROOT).args(words).args(["--edges", "normal,build", "--prefix", "none"]))
    };
    let lacks = |tree: &str, names: &[&str]| {
        let found: Vec<&str> = tree
            .lines()
            .filter(|line| names.iter().any(|name| line.split(' ').next() == Some(name)))
            .collect();
        assert!(found.is_empty(), "{found:?} in\n{tree}");
    };
    let all = tree("--all-features");
    assert!(all.contains("tracing v"), "the tree was found:\n{all}");
    lacks(&all, NEVER);
    let least = tree("--no-default-features");
    lacks(&least, NEVER);
    lacks(&least, BY_DEFAULT);
}
