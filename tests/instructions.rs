//! The check of instruction counts must fail where they grow: what it says is tried here, the
//! counting itself is `cargo bench --bench instructions`.

#![allow(dead_code, reason = "the benchmark calls what the test has no use for")]

#[path = "../benches/instructions/baseline.rs"]
mod baseline;

use baseline::{Counts, growth};

const BASELINE: &str = include_str!("../benches/instructions/x86_64.txt");

fn stored() -> Counts {
    Counts::parse(BASELINE).expect("it was written by --renew")
}

fn scaled(percent: u64) -> Counts {
    let mut counts = stored();
    counts.rounds.values_mut().for_each(|count| *count = (*count * percent + 50) / 100);
    counts
}

#[test]
fn what_was_stored_passes() {
    let counts = stored();
    assert!(counts.rounds.len() > 20, "{} workloads", counts.rounds.len());
    assert_eq!(counts.to_text(), BASELINE);
    assert_eq!(counts.judge(&counts, true), Default::default());
    assert_eq!(counts.distance(&counts), 0.0);
}

#[test]
fn a_baseline_lowered_by_a_tenth_is_reported_as_grown() {
    let verdict = stored().judge(&scaled(90), true);
    assert!(verdict.is_bad, "the exit code is 1");
    assert_eq!(verdict.lines.len(), stored().rounds.len());
    for (name, line) in stored().rounds.keys().zip(&verdict.lines) {
        assert!(line.starts_with(&format!("GREW   {name}: ")), "{line}");
        assert!(line.ends_with(" %") && line.contains(", +1"), "{line}");
    }
}

#[test]
fn what_shrank_is_said_and_is_no_failure() {
    let verdict = stored().judge(&scaled(110), true);
    assert!(!verdict.is_bad);
    assert_eq!(verdict.lines.len(), stored().rounds.len());
    assert!(verdict.lines.iter().all(|line| line.starts_with("SHRANK ")), "{:?}", verdict.lines);
    assert_eq!(stored().judge(&scaled(102), true), Default::default(), "within the tolerance");
}

#[test]
fn other_tools_are_said_and_tolerate_more() {
    let other = |percent| Counts { tools: "rustc 1.0".into(), ..scaled(percent) };
    let verdict = stored().judge(&other(90), true);
    assert!(!verdict.is_bad);
    assert_eq!(verdict.lines.len(), 1);
    assert!(verdict.lines[0].contains("rustc 1.0"), "{}", verdict.lines[0]);
    assert!(stored().judge(&other(80), true).is_bad, "25 % more is more than that");
}

#[test]
fn names_must_agree_unless_a_part_is_asked_for() {
    let mut fewer = stored();
    fewer.rounds.pop_first();
    assert!(stored().judge(&fewer, false).is_bad, "a workload without a baseline");
    assert!(fewer.judge(&stored(), true).is_bad, "a baseline without a workload");
    assert!(!fewer.judge(&stored(), false).is_bad);
    assert!(Counts::parse("a 0\n").is_err(), "nothing takes no instructions");
    assert!(growth(200, 210) > 4.9 && growth(200, 210) < 5.1);
}
