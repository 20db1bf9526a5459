//! Numbers as people write them.

use std::time::Duration;

/// Parses `100`, `64KB`, `16KiB`: bytes, powers of 1000 and of 1024; 64 MiB at most.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let bytes = bytes(text).filter(|bytes| *bytes <= 64 << 20);
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| "a size like 100, 64KB or 16KiB is needed".to_owned())
}

/// Parses an amount of memory, of any size: `300MiB`, `2GiB`.
pub fn parse_memory(text: &str) -> Result<u64, String> {
    let bytes = bytes(text).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "an amount of memory like 300MiB or 2GiB is needed".to_owned())
}

fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "k" | "kib" => 1 << 10,
        "mb" => 1_000_000,
        "m" | "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "g" | "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Parses `500ms`, `25s`, `2m`, `1h` and `0`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration like 500ms, 25s or 2m is needed, 24h at most".to_owned();
    let (number, unit) = split(text);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis: u64 = match unit {
        "" if number == 0 => 0,
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let millis = number.checked_mul(millis).filter(|millis| *millis <= 24 * 3_600_000);
    millis.map(Duration::from_millis).ok_or_else(wrong)
}

/// As [`parse_duration`], without 0: in no time nothing can be measured.
pub fn parse_nonzero_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration.is_zero() { Err("a duration above 0 is needed".into()) } else { Ok(duration) }
}

/// Parses a number per second: `0.5`, `1000`; 0 is as fast as possible.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.0..=1e7).contains(rate));
    rate.ok_or_else(|| "a number per second is needed, like 0.5 or 1000".to_owned())
}

/// Parses a number of connections: `1000`, `100k`, `1m`.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor = match unit {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        _ => 0,
    };
    let count = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    let count = count.filter(|count| (1..=10_000_000).contains(count));
    count.ok_or_else(|| "a number from 1 to 10m is needed, like 500, 100k or 1m".to_owned())
}

/// Parses a share: `0.1` or `10%`.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.strip_suffix('%') {
        Some(number) => (number, 0.01),
        None => (text, 1.0),
    };
    let share = number.parse::<f64>().ok().map(|number| number * factor);
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share from 0 to 1 is needed, like 0.1 or 10%".to_owned())
}

/// CPUs of a list like `0-3,8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpus(pub Vec<usize>);

/// Parses a list of CPUs as /proc writes it.
pub fn parse_cpus(text: &str) -> Result<Cpus, String> {
    let wrong = || format!("{text}: CPUs like 0, 0-3 or 0,2 are needed");
    let mut cpus = Vec::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let first: usize = first.trim().parse().map_err(|_| wrong())?;
        let last: usize = last.trim().parse().map_err(|_| wrong())?;
        if first > last || last >= 1024 {
            return Err(wrong());
        }
        cpus.extend(first..=last);
    }
    Ok(Cpus(cpus))
}

/// Parses `A=B`; the first `=` parts them.
pub fn parse_reply(text: &str) -> Result<(String, String), String> {
    let (to, reply) = text.split_once('=').ok_or("a message and its answer are needed: A=B")?;
    Ok((to.to_owned(), reply.to_owned()))
}

/// Parses a field of HTTP, `Name: value`.
pub fn parse_header(text: &str) -> Result<String, String> {
    let is_field = text.split_once(':').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    let is_line = !text.contains(['\r', '\n']);
    let field = (is_field && is_line).then(|| text.to_owned());
    field.ok_or_else(|| "a field like `Authorization: Bearer x` is needed".to_owned())
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_durations_and_counts() {
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert!(parse_size("65MiB").is_err());
        assert_eq!(parse_memory("2GiB"), Ok(2 << 30));
        assert!(parse_memory("0").is_err() && parse_memory("2TiB").is_err());
        assert_eq!(parse_duration("25s"), Ok(Duration::from_secs(25)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert_eq!(parse_nonzero_duration("1ms"), Ok(Duration::from_millis(1)));
        assert!(parse_nonzero_duration("0").is_err() && parse_nonzero_duration("0s").is_err());
        assert_eq!(parse_count("100k"), Ok(100_000));
        assert_eq!(parse_count("1m"), Ok(1_000_000));
        for bad in ["", "x", "-1", "1x", "99999999999999999999"] {
            assert!(parse_size(bad).is_err(), "{bad}");
            assert!(parse_duration(bad).is_err(), "{bad}");
            assert!(parse_count(bad).is_err(), "{bad}");
        }
        assert!(parse_count("0").is_err());
    }

    #[test]
    fn rates_and_shares() {
        assert_eq!(parse_rate("0.5"), Ok(0.5));
        assert_eq!(parse_share("10%"), Ok(0.1));
        assert_eq!(parse_share("1"), Ok(1.0));
        for bad in ["-1", "x", "NaN", "inf"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
            assert!(parse_share(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_and_pairs() {
        assert_eq!(parse_cpus("0-2,5"), Ok(Cpus(vec![0, 1, 2, 5])));
        for bad in ["", "a", "2-1", "0-9999"] {
            assert!(parse_cpus(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_reply("2=3=4"), Ok(("2".into(), "3=4".into())));
        assert!(parse_reply("2").is_err());
        assert!(parse_header("A-b: c").is_ok());
        for bad in ["A", ": c", "A b: c", "A: b\r\nC: d"] {
            assert!(parse_header(bad).is_err(), "{bad}");
        }
    }
}
