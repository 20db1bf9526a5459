//! Numbers as people read them.

/// `1234567` becomes `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things, one of which is called that.
pub(super) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}

/// Bytes, in the largest unit that leaves a digit before the point.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(size, _)| bytes >= *size) {
        Some((size, name)) => format!("{:.1} {name}", bytes as f64 / *size as f64),
        None => format!("{bytes} B"),
    }
}

/// A limit, of which the largest number means that there is none.
pub(super) fn or_unlimited(limit: u64, text: fn(u64) -> String) -> String {
    if limit == u64::MAX { "unlimited".into() } else { text(limit) }
}

/// What is said of a fact that /proc does not show.
pub(super) const UNKNOWN: &str = "not to be seen here";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(or_unlimited(u64::MAX, grouped), "unlimited");
    }

    #[test]
    fn one_is_no_plural() {
        for (number, text) in [(0, "0 things"), (1, "1 thing"), (2000, "2,000 things")] {
            assert_eq!(counted(number, "thing"), text);
        }
    }

    #[test]
    fn bytes_have_a_unit() {
        for (number, text) in [(12, "12 B"), (1536, "1.5 KiB"), (24 << 30, "24.0 GiB")] {
            assert_eq!(bytes(number), text);
        }
    }
}
