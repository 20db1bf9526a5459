//! The invariants of the source that a program can see, as tests.
//!
//! Checked: floors and who may name whom; where `unsafe`, `std::net`, `std::fs`, threads, the clock
//! and each dependency may stand; sizes of files, functions and lines; no `unwrap`, no leftovers,
//! no prints, no silent `allow`; what a folder's `mod.rs` says; how scripts begin. Every check is
//! also run on a bad sample, which it must find, and on a good one, which it must let pass.
//!
//! The other invariants, and what guards them, stand in a table in ARCHITECTURE.md.

mod checks;
mod links;
mod rooms;
mod source;

use source::{Finding, Source};

/// One rule.
struct Check {
    /// What it forbids, and what to do instead.
    what: &'static str,
    run: fn(&Source) -> Vec<Finding>,
    /// Paths and texts that must be found.
    bad: &'static [(&'static str, &'static str)],
    /// Paths and texts that must pass.
    good: &'static [(&'static str, &'static str)],
}

fn all() -> impl Iterator<Item = &'static Check> {
    checks::CHECKS.iter().chain(rooms::CHECKS)
}

#[test]
fn the_tree_is_tidy() {
    let sources = source::tree();
    assert!(sources.len() > 80, "the tree was found: {} files", sources.len());
    let mut findings = Vec::new();
    for source in &sources {
        for check in all() {
            for Finding { line, detail } in (check.run)(source) {
                findings.push(format!("{}:{line}: {detail}: {}", source.path, check.what));
            }
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn every_check_finds_its_bad_sample() {
    for check in all() {
        assert!(!check.bad.is_empty(), "{} has a bad sample", check.what);
        for (path, text) in check.bad {
            let findings = (check.run)(&Source::new(path, text));
            assert!(!findings.is_empty(), "not found: {} in {path}:\n{text}", check.what);
        }
    }
}

#[test]
fn every_check_lets_its_good_sample_pass() {
    for check in all() {
        for (path, text) in check.good {
            let findings = (check.run)(&Source::new(path, text));
            assert!(findings.is_empty(), "{}: {findings:?} in {path}:\n{text}", check.what);
        }
    }
}

/// Cargo does not look for them by itself, as some belong to the library and some to the program.
#[test]
fn every_test_target_is_declared() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).expect("it is there");
    let manifests = read("Cargo.toml") + &read("cli/Cargo.toml");
    for entry in root.join("tests").read_dir().expect("it is a folder").flatten() {
        let name = entry.file_name().into_string().expect("names are UTF-8");
        let is_folder = entry.path().join("main.rs").exists();
        if is_folder || name.ends_with(".rs") {
            let path =
                if is_folder { format!("tests/{name}/main.rs") } else { format!("tests/{name}") };
            let is_declared = manifests.contains(&format!("{path}\""));
            assert!(is_declared, "{path} is a test of neither Cargo.toml nor cli/Cargo.toml");
        }
    }
}
