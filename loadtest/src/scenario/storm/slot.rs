//! When a server that closes a connection asks its client to come back.

use std::time::Duration;

use loadtest::units::parse_duration;

/// What stands before the time in the reason of a close frame.
const MARK: &str = "retry-after=";

/// Parses the time of `retry-after=15s` anywhere in a reason; a bare number is seconds.
pub(super) fn parse(reason: &[u8]) -> Option<Duration> {
    let reason = std::str::from_utf8(reason).ok()?;
    let (_, time) = reason.split_once(MARK)?;
    let end = time.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(time.len());
    let time = &time[..end];
    parse_duration(time).or_else(|_| parse_duration(&format!("{time}s"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_stands_anywhere_in_a_reason() {
        let good = [
            ("retry-after=15s", 15_000),
            ("the server stops; retry-after=1500ms", 1500),
            ("retry-after=7, please", 7000),
            ("retry-after=0", 0),
        ];
        for (reason, millis) in good {
            let slot = parse(reason.as_bytes());
            assert_eq!(slot, Some(Duration::from_millis(millis)), "{reason}");
        }
        for bad in ["", "going away", "retry-after=", "retry-after=soon", "retry-after=99h"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse(b"retry-after=\xff"), None);
    }
}
