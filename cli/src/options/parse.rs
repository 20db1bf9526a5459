//! From the text of a flag to a value, where the library has no type for it.

use std::path::PathBuf;
use std::time::Duration;

use throng::config::{
    BATCH_DELAY_MAX, ListenAddr, SUBSCRIPTIONS_MAX, parse_count, parse_duration, parse_size,
};

/// Threads are bounded by the 16 bits of a worker's number.
const WORKERS_MAX: usize = 1024;

/// Below it not even the buffers of some hundred clients fit.
const MEMORY_MIN: usize = 16 << 20;

/// Addresses at most: each is a listener of each worker.
const ADDRESSES_MAX: usize = 64;

pub(crate) fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=WORKERS_MAX) => Ok(n),
        _ => Err(format!("a number from 1 to {WORKERS_MAX} is needed")),
    }
}

pub(crate) fn connections(text: &str) -> Result<usize, String> {
    match parse_count(text)? {
        n @ 1..=0x7fff_ffff => Ok(n),
        _ => Err("a number of at least 1 is needed".into()),
    }
}

pub(super) fn number(text: &str) -> Result<u32, String> {
    connections(text).map(|number| number as u32)
}

/// Bytes in a second.
pub(super) fn rate(text: &str) -> Result<u32, String> {
    match parse_size(text)? {
        n @ 1..=0x7fff_ffff => Ok(n as u32),
        _ => Err("a size from 1 byte to 2 GiB is needed".into()),
    }
}

/// Whole milliseconds.
pub(super) fn batch_delay(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        delay if delay <= BATCH_DELAY_MAX => Ok(delay),
        _ => Err("a duration up to 1s like 50ms is needed".into()),
    }
}

pub(super) fn subscriptions(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=SUBSCRIPTIONS_MAX) => Ok(n),
        _ => Err(format!("a number from 1 to {SUBSCRIPTIONS_MAX} is needed")),
    }
}

pub(super) fn memory(text: &str) -> Result<usize, String> {
    match text {
        "off" => Ok(usize::MAX),
        _ => parse_size(text)
            .ok()
            .filter(|size| *size >= MEMORY_MIN)
            .ok_or_else(|| "a size from 16MiB on like 512MiB or 4GiB is needed, or off".into()),
    }
}

pub(super) fn message_size(text: &str) -> Result<usize, String> {
    match parse_size(text)? {
        n @ 1..=0x7fff_ffff => Ok(n),
        _ => Err("a size from 1 byte to 2 GiB is needed".into()),
    }
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("a duration above 0 is needed".into()),
        duration => Ok(duration),
    }
}

pub(super) fn addresses(text: &str) -> Result<Vec<ListenAddr>, String> {
    let all = text.split(',').map(|address| address.trim().parse());
    let all: Vec<ListenAddr> = all.collect::<Result<_, _>>()?;
    match all.len() {
        0..=ADDRESSES_MAX => Ok(all),
        number => Err(format!("there are {number} addresses, and {ADDRESSES_MAX} may be")),
    }
}

pub(super) fn operator_address(text: &str) -> Result<Option<ListenAddr>, String> {
    match text {
        "off" => Ok(None),
        _ if text.contains(',') => Err("one address is needed, or off".into()),
        address => address.parse().map(Some),
    }
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("the path of a file is needed".into()) } else { Ok(text.into()) }
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false is needed".into()),
    }
}

/// One in how many: `on` is each, `off` is none, `1%` and `0.01` are one in a hundred.
pub(super) fn share(text: &str) -> Result<u32, String> {
    let number = |text: &str| text.trim_end().parse::<f64>().ok();
    let share = match text {
        "off" => return Ok(0),
        "on" => return Ok(1),
        _ => match text.strip_suffix('%') {
            Some(percent) => number(percent).map(|percent| percent / 100.0),
            None => number(text),
        },
    };
    match share {
        Some(share) if (SHARE_MIN..=1.0).contains(&share) => Ok((1.0 / share).round() as u32),
        _ => Err("on, off, or a share from 0.0001% to 100% like 1% or 0.01 is needed".into()),
    }
}

/// One in a million: fewer are none.
const SHARE_MIN: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        for (text, one_in) in [
            ("off", 0),
            ("on", 1),
            ("100%", 1),
            ("1%", 100),
            ("0.01", 100),
            ("0.5", 2),
            ("1", 1),
            ("0.1 %", 1000),
            ("0.0001%", 1_000_000),
        ] {
            assert_eq!(share(text), Ok(one_in), "{text}");
        }
        for bad in ["", "0", "0%", "101%", "2", "-1%", "NaN", "inf", "yes", "%"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_operator_has_one_address_or_none() {
        assert_eq!(operator_address("off"), Ok(None));
        assert_eq!(operator_address(":9"), Ok(Some(ListenAddr::All(9))));
        assert!(operator_address(":9,:10").is_err() && operator_address("").is_err());
    }
}
