//! Variations of kept inputs. An input with an outcome that was not seen before is varied further.

use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use throng::driver::sim::Rng;

/// Bytes of an input.
const BYTES_MAX: usize = 20_000;

/// Inputs that are varied, beside those that are kept in files.
const POOL_MAX: usize = 2_000;

/// Something that takes bytes.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Variations that are tried.
    pub(crate) count: u64,
    /// What is often put into an input.
    pub(crate) words: &'static [&'static [u8]],
    /// Panics if something does not hold; a number that stands for what has happened.
    pub(crate) check: fn(&[u8]) -> u64,
}

/// Replays the corpus of a target and tries variations. `THRONG_FUZZ_INPUT` names a file that is
/// tried alone, `THRONG_FUZZ_SECONDS` is how long to go on, `THRONG_FUZZ_SEED` where to begin.
pub(crate) fn run(target: &Target) {
    if let Some(file) = std::env::var_os("THRONG_FUZZ_INPUT") {
        let bytes = fs::read(&file).expect("THRONG_FUZZ_INPUT is a file that can be read");
        (target.check)(&bytes);
        return;
    }
    let mut pool = corpus(target.name);
    assert!(!pool.is_empty(), "there are inputs to vary");
    let mut seen: HashSet<u64> = pool.iter().map(|input| attempt(target, input)).collect();
    let kept = pool.len();
    let seed = number("THRONG_FUZZ_SEED").unwrap_or(1);
    let until = number("THRONG_FUZZ_SECONDS").map(|s| Instant::now() + Duration::from_secs(s));
    let mut rng = Rng::new(seed);
    let mut tried = 0;
    while until.map_or(tried < target.count, |until| Instant::now() < until) {
        let input = vary(&mut rng, &pool, target.words);
        tried += 1;
        if seen.insert(attempt(target, &input)) {
            if pool.len() < kept + POOL_MAX {
                pool.push(input);
            } else {
                let at = kept + rng.below(POOL_MAX);
                pool[at] = input;
            }
        }
    }
    eprintln!("{}: {tried} variations, {} outcomes", target.name, seen.len());
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).expect("every target has a corpus");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut paths: Vec<PathBuf> = paths.collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("it can be read")).collect()
}

/// Tries an input; one that fails is kept beside what was built.
fn attempt(target: &Target, input: &[u8]) -> u64 {
    catch_unwind(AssertUnwindSafe(|| (target.check)(input))).unwrap_or_else(|panic| {
        let file = keep(target.name, input);
        let name = target.name;
        eprintln!(
            "{name}: fails with {file}; once more:\n  \
             THRONG_FUZZ_INPUT={file} cargo test --test fuzz -- --exact {name}\n\
             and for ever: cp {file} tests/fuzz/corpus/{name}/",
            file = file.display()
        );
        resume_unwind(panic)
    })
}

fn keep(name: &str, input: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    let sum = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let file = folder.join(format!("{name}-{sum:016x}"));
    let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, input));
    kept.expect("there is room for the input that fails");
    file
}

fn vary(rng: &mut Rng, pool: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut input = pool[rng.below(pool.len())].clone();
    for _ in 0..1 + rng.below(4) {
        change(rng, &mut input, pool, words);
    }
    input.truncate(BYTES_MAX);
    input
}

fn change(rng: &mut Rng, input: &mut Vec<u8>, pool: &[Vec<u8>], words: &[&[u8]]) {
    let at = rng.below(input.len() + 1);
    let end = at + rng.below((input.len() - at).min(64) + 1);
    match rng.below(9) {
        0 if at < input.len() => input[at] ^= 1 << rng.below(8),
        1 if at < input.len() => input[at] = rng.next_u64() as u8,
        2 => drop(input.drain(at..end)),
        3 => {
            let copy = input[at..end].to_vec();
            let to = rng.below(input.len() + 1);
            drop(input.splice(to..to, copy));
        }
        4 => {
            let other = &pool[rng.below(pool.len())];
            let from = rng.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        5 | 6 if !words.is_empty() => {
            let word = words[rng.below(words.len())];
            drop(input.splice(at..end.min(at + word.len()), word.iter().copied()));
        }
        7 => {
            let byte = rng.next_u64() as u8;
            let bits = rng.below(10);
            let run = rng.below(1 << bits);
            drop(input.splice(at..at, std::iter::repeat_n(byte, run)));
        }
        _ => {
            let bytes = rng.next_u64().to_le_bytes();
            let count = 1 + rng.below(bytes.len());
            drop(input.splice(at..end.min(at + count), bytes[..count].iter().copied()));
        }
    }
}
