//! A run of this program under callgrind, which counts in [`measured`] and nowhere else.

use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::workloads::{Case, Round};

/// Rounds before those that are counted: pools are filled and tables have their size by then.
const WARM_UP: usize = 20;
/// Rounds that are counted. What happens only now and then has its share.
const ROUNDS: u64 = 20;

/// Callgrind counts each byte of `rep movsb` and `rep stosb` as an instruction, by which glibc
/// copies and fills from 2 KiB on: that would outweigh everything else. Vectors weigh what they
/// take.
const NO_REPEATS: &str =
    "glibc.cpu.x86_rep_movsb_threshold=0x10000000:glibc.cpu.x86_rep_stosb_threshold=0x10000000";

/// The option that makes this program run one workload.
pub(crate) const RUN: &str = "--run";

/// What is counted; callgrind knows it by its name.
#[inline(never)]
fn measured(round: &mut Round) {
    for _ in 0..ROUNDS {
        round();
    }
}

/// Runs a workload, under callgrind or not.
pub(crate) fn run(case: Case) {
    let mut round = (case.make)();
    (0..WARM_UP).for_each(|_| round());
    measured(&mut round);
}

/// The instructions of one round.
pub(crate) fn count(case: Case) -> Result<u64, String> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "callgrind.{}.{}",
        case.name.replace('/', "-"),
        std::process::id()
    ));
    let program = env::current_exe().map_err(|error| error.to_string())?;
    // Variables of the environment lie on the stack, and move everything behind them.
    let output = Command::new("valgrind")
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("GLIBC_TUNABLES", NO_REPEATS)
        .args(["--tool=callgrind", "--toggle-collect=*::measured"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args([RUN, case.name])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = fs::read_to_string(&file).unwrap_or_default();
    // It is not missed if it is not there.
    let _ = fs::remove_file(&file);
    let summary = text.lines().find_map(|line| line.strip_prefix("summary: "));
    match summary.and_then(|total| total.trim().parse::<u64>().ok()) {
        Some(total) if total > 0 && output.status.success() => Ok(total / ROUNDS),
        _ => Err(format!(
            "{}: callgrind counted nothing ({})\n{}",
            case.name,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// What the counts depend on beside the source, or nothing if there is no valgrind.
pub(crate) fn tools() -> Option<String> {
    let valgrind = first_line("valgrind", &["--version"])?;
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let rustc = first_line(&rustc, &["--version"]).unwrap_or_else(|| "rustc unknown".to_owned());
    let libc = first_line("getconf", &["GNU_LIBC_VERSION"]).unwrap_or_else(|| "other libc".into());
    Some(format!("{rustc}, {libc}, {valgrind}, {}", vectors()))
}

/// The widest vectors that callgrind has here, by which much is chosen, memcpy and ours.
fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return "AVX2";
    }
    "no AVX2"
}

fn first_line(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.to_owned();
    output.status.success().then_some(line)
}
