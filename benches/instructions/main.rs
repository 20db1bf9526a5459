//! How many instructions a round of each workload takes, which does not depend on the machine's
//! mood. They are compared with the baseline beside this file.
//!
//! ```text
//! cargo bench --bench instructions                        # counts and compares
//! cargo bench --bench instructions -- turn/ utf8          # only names with one of these parts
//! cargo bench --bench instructions -- --renew             # counts, and writes the baseline
//! cargo bench --bench instructions -- --baseline FILE     # compares with another one
//! ```
//!
//! Exits with 1 if a count grew by more than 3 %. One that shrank by more is said too: renew the
//! baseline, so that it stays so. Where rustc, the C library, valgrind or the processor's vectors
//! are not those of the baseline, that is said, and 15 % are tolerated. For a new toolchain, renew
//! the baseline in a commit that changes nothing else.
//!
//! That it can fail: `tests/instructions.rs` judges a baseline lowered by a tenth.

mod baseline;
mod callgrind;
#[path = "../workloads/mod.rs"]
mod workloads;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use baseline::{Counts, growth};
use workloads::Case;

/// What two counts of the same workload may differ by, in percent, for a baseline to be made of
/// one of them.
const NOISE: f64 = 0.1;

/// What was asked for.
#[derive(Debug)]
struct Args {
    parts: Vec<String>,
    baseline: PathBuf,
    must_renew: bool,
}

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let result = match args.next() {
        Some(first) if first == callgrind::RUN => run(args.next().as_deref()),
        first => parse(first.into_iter().chain(args)).and_then(|args| check(&args)),
    };
    result.unwrap_or_else(|error| {
        eprintln!("instructions: {error}");
        ExitCode::FAILURE
    })
}

fn run(name: Option<&str>) -> Result<ExitCode, String> {
    let case = workloads::all().find(|case| Some(case.name) == name);
    callgrind::run(case.ok_or("no such workload")?);
    Ok(ExitCode::SUCCESS)
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Args, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions");
    // Another architecture has other instructions.
    let baseline = folder.join(format!("{}.txt", env::consts::ARCH));
    let mut parsed = Args { parts: Vec::new(), baseline, must_renew: false };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // Cargo says so to every benchmark.
            "--bench" => {}
            "--renew" => parsed.must_renew = true,
            "--baseline" => parsed.baseline = args.next().ok_or("--baseline FILE")?.into(),
            option if option.starts_with('-') => return Err(format!("no such option: {option}")),
            _ => parsed.parts.push(arg),
        }
    }
    if parsed.must_renew && !parsed.parts.is_empty() {
        return Err("a baseline is renewed as a whole".into());
    }
    Ok(parsed)
}

fn check(args: &Args) -> Result<ExitCode, String> {
    let Some(tools) = callgrind::tools() else {
        let reason = "valgrind is not installed (scripts/install-test-tools.sh does that)";
        if env::var("THRONG_TEST_REQUIRE_ALL").is_ok_and(|value| value == "1") {
            return Err(reason.into());
        }
        eprintln!("SKIPPED instructions: {reason}");
        return Ok(ExitCode::SUCCESS);
    };
    let is_asked_for = |case: &Case| {
        args.parts.is_empty() || args.parts.iter().any(|part| case.name.contains(part))
    };
    let cases: Vec<Case> = workloads::all().filter(is_asked_for).collect();
    if args.must_renew {
        return renew(args, &cases, &tools);
    }
    let text = fs::read_to_string(&args.baseline)
        .map_err(|error| format!("{}: {error}; --renew makes one", args.baseline.display()))?;
    let baseline = Counts::parse(&text)?;
    let counts = count(&cases, &tools, Some(&baseline))?;
    let verdict = counts.judge(&baseline, args.parts.is_empty());
    verdict.lines.iter().for_each(|line| println!("{line}"));
    if verdict.is_bad {
        println!("\nIf that has to be: cargo bench --bench instructions -- --renew, and say why");
        return Ok(ExitCode::FAILURE);
    }
    println!("{} workloads are within the tolerance", counts.rounds.len());
    Ok(ExitCode::SUCCESS)
}

fn renew(args: &Args, cases: &[Case], tools: &str) -> Result<ExitCode, String> {
    let counts = count(cases, tools, None)?;
    let noise = counts.distance(&count(cases, tools, None)?);
    if noise > NOISE {
        return Err(format!("two counts differ by {noise:.2} %: no baseline comes of that"));
    }
    fs::write(&args.baseline, counts.to_text()).map_err(|error| error.to_string())?;
    println!("{}: two counts differ by {noise:.3} % at most", args.baseline.display());
    Ok(ExitCode::SUCCESS)
}

/// Counts, and shows each as it comes.
fn count(cases: &[Case], tools: &str, baseline: Option<&Counts>) -> Result<Counts, String> {
    let mut counts = Counts { tools: tools.to_owned(), rounds: Default::default() };
    println!("{:<28} {:>12} {:>10}", "instructions", "a round", "each");
    for case in cases {
        let count = callgrind::count(*case)?;
        let each = count as f64 / f64::from(case.units);
        let before = baseline.and_then(|baseline| baseline.of(case.name));
        let change = before.map(|before| format!("{:+7.2} %", growth(before, count)));
        let change = change.unwrap_or_default();
        println!("{:<28} {count:>12} {each:>10.1} {:<10} {change}", case.name, case.unit);
        counts.rounds.insert(case.name.to_owned(), count);
    }
    println!();
    Ok(counts)
}
