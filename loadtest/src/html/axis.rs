//! Where values lie on an axis, and its ticks.

use super::{Axis, number};

/// A place on an axis that is named.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// From 0, the beginning, to 1, the end.
    pub(super) place: f64,
    pub(super) text: String,
}

/// An axis with its bounds.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    axis: Axis,
    from: f64,
    to: f64,
    step: f64,
    /// Percentiles: whether there is a maximum, which has the end for itself.
    has_maximum: bool,
}

/// How many ticks a linear axis has at most.
const TICKS_MAX: f64 = 6.0;

/// The place of the maximum behind the last percentile, as a share of the rest of the axis.
const MAXIMUM_GAP: f64 = 0.12;

impl Scale {
    /// From the first to the last value.
    pub(super) fn tight(axis: Axis, values: impl Iterator<Item = f64> + Clone) -> Self {
        let is_percentile = axis == Axis::Percentile;
        let has_maximum = is_percentile && values.clone().any(|value| value >= 100.0);
        let inner = values.filter(|value| !is_percentile || *value < 100.0);
        let (mut from, mut to) = bounds(inner.map(|value| transform(axis, value)));
        if is_percentile {
            from = 0.0;
            to = to.max(1.0) * if has_maximum { 1.0 + MAXIMUM_GAP } else { 1.0 };
        } else if to <= from {
            (from, to) = (from - 0.5, from + 0.5);
        }
        Self { axis, from, to, step: nice_step(to - from), has_maximum }
    }

    /// From zero, or from a tick below the lowest value, to a tick above the highest.
    pub(super) fn roomy(values: impl Iterator<Item = f64>) -> Self {
        let (from, to) = bounds(values.chain([0.0]));
        let to = if to > from { to } else { from + 1.0 };
        let step = nice_step(to - from);
        let (from, to) = ((from / step).floor() * step, (to / step).ceil() * step);
        Self { axis: Axis::Linear, from, to, step, has_maximum: false }
    }

    /// Where a value lies, from 0 to 1.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = transform(self.axis, value).min(self.to);
        ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }

    /// The places that are named.
    pub(super) fn ticks(&self, unit: &str) -> Vec<Tick> {
        match self.axis {
            Axis::Linear => self.linear_ticks(unit),
            Axis::Percentile => self.percentile_ticks(),
        }
    }

    /// A value in words, as its tick would have it.
    pub(super) fn word(&self, value: f64, unit: &str) -> String {
        match self.axis {
            Axis::Linear => with_unit(number::value(value), unit),
            Axis::Percentile if value >= 100.0 => "maximum".to_owned(),
            Axis::Percentile => number::percent(value),
        }
    }

    fn linear_ticks(&self, unit: &str) -> Vec<Tick> {
        // What rounding took from a bound does not take its tick.
        let slack = self.step * 1e-6;
        let first = ((self.from - slack) / self.step).ceil();
        let largest = self.from.abs().max(self.to.abs());
        let count = ((self.to + slack) / self.step - first).floor();
        let ticks = (0..=count.max(0.0) as u32).map(|at| {
            let value = (first + f64::from(at)) * self.step;
            Tick {
                place: self.place(value),
                text: with_unit(number::tick(value, self.step, largest), unit),
            }
        });
        ticks.collect()
    }

    fn percentile_ticks(&self) -> Vec<Tick> {
        let nines = (1..10).map(|nines| 100.0 - 10_f64.powi(2 - nines));
        let end = self.to / if self.has_maximum { 1.0 + MAXIMUM_GAP } else { 1.0 };
        let percentiles = [0.0, 50.0].into_iter().chain(nines);
        let named = percentiles.filter(|value| transform(self.axis, *value) <= end + 1e-6);
        let named =
            named.map(|value| Tick { place: self.place(value), text: number::percent(value) });
        let maximum = self.has_maximum.then(|| Tick { place: 1.0, text: "max".to_owned() });
        named.chain(maximum).collect()
    }
}

fn transform(axis: Axis, value: f64) -> f64 {
    match axis {
        Axis::Linear => value,
        Axis::Percentile => -(1.0 - value.max(0.0) / 100.0).max(0.0).log10(),
    }
}

/// The lowest and the highest; 0 and 0 of none.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let bounds = values.fold(None, |bounds: Option<(f64, f64)>, value| {
        let (from, to) = bounds.unwrap_or((value, value));
        Some((from.min(value), to.max(value)))
    });
    bounds.unwrap_or((0.0, 0.0))
}

/// 1, 2 or 5 times a power of ten, so that few ticks fit into the range.
fn nice_step(range: f64) -> f64 {
    let rough = range / TICKS_MAX;
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|digit| digit * power);
    steps.into_iter().find(|step| *step >= rough * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

fn with_unit(text: String, unit: &str) -> String {
    match unit {
        "" => text,
        "%" => text + unit,
        _ => text + "\u{a0}" + unit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.text.as_str()).collect()
    }

    #[test]
    fn a_roomy_axis_begins_at_zero_and_ends_at_a_tick() {
        let ticks = Scale::roomy([3.0, 47.0].into_iter()).ticks("ms");
        let expected = ["0\u{a0}ms", "10\u{a0}ms", "20\u{a0}ms", "30\u{a0}ms", "40\u{a0}ms"];
        assert_eq!(texts(&ticks)[..5], expected);
        assert_eq!(ticks.last().map(|tick| tick.place), Some(1.0));
        assert_eq!(ticks.len(), 6);
    }

    #[test]
    fn values_below_zero_have_room_and_zero_has_a_tick() {
        let ticks = Scale::roomy([-3.0, 2.0].into_iter()).ticks("");
        assert_eq!(texts(&ticks), ["-3", "-2", "-1", "0", "1", "2"]);
    }

    #[test]
    fn a_tight_axis_ends_at_the_data_and_has_ticks_inside() {
        let scale = Scale::tight(Axis::Linear, [3.0, 62.0].into_iter());
        assert_eq!(
            texts(&scale.ticks("s")),
            ["10\u{a0}s", "20\u{a0}s", "30\u{a0}s", "40\u{a0}s", "50\u{a0}s", "60\u{a0}s"]
        );
        assert_eq!((scale.place(3.0), scale.place(62.0)), (0.0, 1.0));
    }

    #[test]
    fn one_value_or_none_still_makes_an_axis() {
        let one = Scale::tight(Axis::Linear, [7.0].into_iter());
        assert_eq!(one.place(7.0), 0.5);
        for scale in [Scale::roomy([0.0].into_iter()), Scale::roomy([].into_iter())] {
            assert_eq!((scale.place(0.0), scale.place(1.0)), (0.0, 1.0));
        }
        assert!(!Scale::tight(Axis::Linear, [].into_iter()).ticks("").is_empty());
        assert_eq!(
            texts(&Scale::tight(Axis::Percentile, [].into_iter()).ticks("")),
            ["0%", "50%", "90%"]
        );
    }

    #[test]
    fn percentiles_are_a_decade_for_each_nine_and_the_maximum_has_the_end() {
        let scale = Scale::tight(Axis::Percentile, [50.0, 99.995, 100.0].into_iter());
        let ticks = scale.ticks("");
        assert_eq!(texts(&ticks), ["0%", "50%", "90%", "99%", "99.9%", "99.99%", "max"]);
        let gaps: Vec<f64> =
            ticks[2..6].windows(2).map(|two| two[1].place - two[0].place).collect();
        assert!(gaps.iter().all(|gap| (gap - gaps[0]).abs() < 1e-9), "{gaps:?}");
        assert_eq!(scale.place(100.0), 1.0);
        assert!(scale.place(99.995) < 1.0);
        assert_eq!(scale.word(100.0, ""), "maximum");
    }

    #[test]
    fn steps_are_one_two_or_five() {
        assert_eq!([6.0, 7.0, 13.0, 31.0].map(nice_step), [1.0, 2.0, 5.0, 10.0]);
        assert!((nice_step(0.06) - 0.01).abs() < 1e-12);
    }
}
