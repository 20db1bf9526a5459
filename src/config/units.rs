//! Sizes, counts and durations as people write them.

use std::time::Duration;

/// Units of sizes, with their bytes. One letter is a power of 1024, as programs of Unix have it.
const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("mb", 1_000_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("gb", 1_000_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
];

/// Units of counts, which are decimal.
const COUNTS: &[(&str, u64)] = &[("", 1), ("k", 1_000), ("m", 1_000_000)];

/// Units of durations in milliseconds, from the longest to the shortest.
const DURATIONS: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const DURATION_MILLIS_MAX: u64 = 24 * 3_600_000;

/// Digits behind a point, at most: with them every product of a number and a unit fits.
const DECIMALS_MAX: usize = 9;

/// Parses `65536`, `64KB`, `1.5MiB`: bytes, powers of 1000 and of 1024. A single letter is a power
/// of 1024: `64K` is 65,536 and `64KB` is 64,000.
///
/// # Errors
///
/// A sentence that says what a size looks like.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let size = scaled(text.trim(), SIZES).map_err(|_| NOT_A_SIZE.to_owned())?;
    usize::try_from(size).map_err(|_| "the size is too large".into())
}

/// Parses `40000`, `100k`, `1.5m`: a number, thousands and millions.
///
/// # Errors
///
/// A sentence that says what a count looks like.
pub fn parse_count(text: &str) -> Result<usize, String> {
    let count = scaled(text.trim(), COUNTS).ok().and_then(|count| count.try_into().ok());
    count.ok_or_else(|| NOT_A_COUNT.into())
}

/// Parses `500ms`, `25s`, `1.5s`, `1m30s`, `1h` and `0`.
///
/// # Errors
///
/// A sentence that says what a duration looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let millis = sum(text).ok_or(NOT_A_DURATION)?;
    let millis = u64::try_from(millis).ok().filter(|millis| *millis <= DURATION_MILLIS_MAX);
    millis.map(Duration::from_millis).ok_or_else(|| "at most 24h are possible".into())
}

/// The milliseconds of parts like `1h30m`, each of a shorter unit than the one before.
fn sum(mut text: &str) -> Option<u128> {
    let (mut millis, mut units) = (0, DURATIONS);
    while !text.is_empty() || millis == 0 && units.len() == DURATIONS.len() {
        let end = part_end(text);
        millis += scaled(&text[..end], units).ok()?;
        let unit = split(&text[..end]).1;
        let used = units.iter().position(|(name, _)| *name == unit)?;
        (text, units) = (&text[end..], &units[used + 1..]);
    }
    Some(millis)
}

/// Where a part ends: a number and the letters behind it.
fn part_end(text: &str) -> usize {
    let number = text.len() - split(text).1.len();
    let letters = text[number..].bytes().take_while(u8::is_ascii_alphabetic).count();
    number + letters
}

/// A number, perhaps with a point in it, times its unit. What is no whole number then is refused.
fn scaled(text: &str, units: &[(&str, u64)]) -> Result<u128, ()> {
    let (number, unit) = split(text);
    let unit = unit.trim_start().to_ascii_lowercase();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or(())?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = !decimals.is_empty() && decimals.len() <= DECIMALS_MAX;
    let digits: u64 = format!("{whole}{decimals}").parse().map_err(drop)?;
    if whole.is_empty() || !is_number {
        return Err(());
    }
    let scale = 10_u128.pow(decimals.len() as u32);
    let product = u128::from(digits) * u128::from(*factor);
    if product.is_multiple_of(scale) { Ok(product / scale) } else { Err(()) }
}

/// A number, and what stands behind it.
fn split(text: &str) -> (&str, &str) {
    let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    text.split_at(text.bytes().take_while(is_digit).count())
}

const NOT_A_SIZE: &str = "a size like 65536, 64KB (64,000), 64KiB (65,536) or 1.5MiB is needed";

const NOT_A_COUNT: &str = "a number like 40000, 100k or 1m is needed";

const NOT_A_DURATION: &str = "a duration like 500ms, 25s or 1m30s is needed (0 for off)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("65536", 65_536),
            ("64KB", 64_000),
            ("64KiB", 65_536),
            ("64K", 65_536),
            ("64k", 65_536),
            ("16MiB", 16 << 20),
            ("1.5MiB", 3 << 19),
            ("1.5MB", 1_500_000),
            ("0.5k", 512),
            (" 2 gb ", 2_000_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        let bad = ["", "x", "1x", "-1", "1.5", "1.5B", ".5k", "1.k", "1.2.3k", "1KiB1"];
        for bad in bad.into_iter().chain(["99999999999999999999", "1.0000000001GB"]) {
            assert_eq!(parse_size(bad), Err(NOT_A_SIZE.into()), "{bad}");
        }
        assert_eq!(parse_size("99999999999GiB"), Err("the size is too large".into()));
    }

    #[test]
    fn counts() {
        for (text, count) in
            [("1", 1), ("40000", 40_000), ("100k", 100_000), ("1.5M", 1_500_000), ("0", 0)]
        {
            assert_eq!(parse_count(text), Ok(count), "{text}");
        }
        for bad in ["", "k", "1e6", "-5", "1.5", "1.0005k", "1ki", "99999999999999999999"] {
            assert_eq!(parse_count(bad), Err(NOT_A_COUNT.into()), "{bad}");
        }
    }

    #[test]
    fn durations() {
        for (text, millis) in [
            ("500ms", 500),
            ("25s", 25_000),
            ("0", 0),
            ("0s", 0),
            ("2m", 120_000),
            ("1m30s", 90_000),
            ("1h2m3s4ms", 3_723_004),
            ("1.5s", 1_500),
            ("24h", DURATION_MILLIS_MAX),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "25", "s", "1d", "-1s", "1s1m", "1s1s", "1m30", "1 m 30 s", "1.5ms", "0ms0"]
        {
            assert_eq!(parse_duration(bad), Err(NOT_A_DURATION.into()), "{bad}");
        }
        assert!(parse_duration("25h").is_err_and(|error| error.contains("24h")));
        assert!(parse_duration("23h61m").is_err_and(|error| error.contains("24h")));
    }
}
