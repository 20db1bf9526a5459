//! Sizes and durations as people write them.

use std::time::Duration;

/// Parses `65536`, `64KB`, `16MiB`: bytes, powers of 1000 and of 1024.
///
/// # Errors
///
/// A sentence that says what a size looks like.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let (number, unit) = split(text);
    let factor: usize = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "k" | "kib" => 1 << 10,
        "mb" => 1_000_000,
        "m" | "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "g" | "gib" => 1 << 30,
        _ => return Err(not_a_size()),
    };
    let number: usize = number.parse().map_err(|_| not_a_size())?;
    number.checked_mul(factor).ok_or_else(|| "the size is too large".into())
}

/// Parses `500ms`, `25s`, `2m`, `1h` and `0`.
///
/// # Errors
///
/// A sentence that says what a duration looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let number: u64 = number.parse().map_err(|_| not_a_duration())?;
    let millis = match unit {
        "" if number == 0 => 0,
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(not_a_duration()),
    };
    let millis = number.checked_mul(millis).filter(|millis| *millis <= DURATION_MILLIS_MAX);
    millis.map(Duration::from_millis).ok_or_else(|| "at most 24h are possible".into())
}

const DURATION_MILLIS_MAX: u64 = 24 * 3_600_000;

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    (number, unit.trim_start())
}

fn not_a_size() -> String {
    "a size like 65536, 64KB or 16MiB is needed".into()
}

fn not_a_duration() -> String {
    "a duration like 500ms, 25s or 2m is needed (0 for off)".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("65536"), Ok(65_536));
        assert_eq!(parse_size("64KB"), Ok(64_000));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("16MiB"), Ok(16 << 20));
        assert_eq!(parse_size(" 2 gb "), Ok(2_000_000_000));
        for bad in ["", "x", "1x", "-1", "1.5MB", "99999999999999999999"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert!(parse_size("99999999999GiB").is_err());
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("25s"), Ok(Duration::from_secs(25)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "25", "s", "1d", "-1s", "25h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
