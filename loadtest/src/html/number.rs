//! Numbers as people read them.

/// A tick, with as many decimals as the step between ticks needs; in millions where the largest of
/// its axis has them.
pub(super) fn tick(value: f64, step: f64, largest: f64) -> String {
    if largest >= 1e15 || step < 1e-9 {
        return format!("{value:.1e}");
    }
    if largest >= 1e6 && step >= 1e4 && value != 0.0 {
        return fixed(value / 1e6, decimals(step / 1e6)) + "\u{202f}M";
    }
    fixed(value, decimals(step))
}

/// A value to four digits, or whole where it has more.
pub(super) fn value(value: f64) -> String {
    let size = value.abs();
    if size >= 1e15 || size > 0.0 && size < 1e-4 {
        return format!("{value:.2e}");
    }
    let digits = if size >= 1.0 { size.log10().floor() as usize + 1 } else { 1 };
    let text = fixed(value, 4_usize.saturating_sub(digits));
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text
}

/// A percentile without more decimals than it has.
pub(super) fn percent(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned() + "%"
}

/// How many decimals a step of 1, 2 or 5 times a power of ten needs.
fn decimals(step: f64) -> usize {
    // A step such as 0.001 may lie a little below its power of ten.
    (-(step.log10() + 1e-9).floor()).max(0.0) as usize
}

/// With commas between thousands.
fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let is_zero = text.chars().all(|c| matches!(c, '-' | '0' | '.'));
    let mut grouped = String::from(if is_zero { "" } else { sign });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_have_the_decimals_of_their_step() {
        assert_eq!(tick(0.0, 20.0, 100.0), "0");
        assert_eq!(tick(100_000.0, 20_000.0, 100_000.0), "100,000");
        assert_eq!(tick(0.3, 0.1, 0.5), "0.3");
        assert_eq!(tick(0.002, 0.001, 0.005), "0.002");
        assert_eq!(tick(-2000.0, 1000.0, 2000.0), "-2,000");
        assert_eq!(tick(-0.0, 0.1, 1.0), "0.0");
        assert_eq!(tick(3e20, 1e20, 5e20), "3.0e20");
    }

    #[test]
    fn an_axis_of_millions_has_no_long_ticks() {
        let ticks = [0.0, 500_000.0, 1_000_000.0].map(|value| tick(value, 500_000.0, 1_000_000.0));
        assert_eq!(ticks, ["0", "0.5\u{202f}M", "1.0\u{202f}M"]);
        assert_eq!(tick(2e6, 1e6, 3e6), "2\u{202f}M");
        assert_eq!(tick(2_000_100.0, 100.0, 2_000_500.0), "2,000,100");
    }

    #[test]
    fn values_have_four_digits() {
        let text = [0.0, 12.0, 1.5, 0.123_456, 1234.5, 123_456.7, 1e20, 2e-5].map(value);
        let expected = ["0", "12", "1.5", "0.123", "1,234", "123,457", "1.00e20", "2.00e-5"];
        assert_eq!(text, expected);
    }

    #[test]
    fn percentiles_keep_their_nines() {
        assert_eq!([50.0, 99.9, 99.999, 100.0].map(percent), ["50%", "99.9%", "99.999%", "100%"]);
    }
}
