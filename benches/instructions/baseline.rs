//! Counts that were stored, and what is to be said about those of today.

use std::collections::BTreeMap;
use std::fmt::Write;

/// What a count may differ by, in percent, where it was made with the baseline's own tools.
const TOLERANCE: f64 = 3.0;

/// The same for other tools: another compiler makes other code of the same source, another C
/// library brings another memcpy. What is ours to mend is larger than that.
const TOLERANCE_OF_OTHER_TOOLS: f64 = 15.0;

/// Counts of instructions, and what they were made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) tools: String,
    pub(crate) rounds: BTreeMap<String, u64>,
}

/// What is said, and whether it is a failure.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) lines: Vec<String>,
    pub(crate) is_bad: bool,
}

impl Counts {
    /// Reads what [`Counts::to_text`] wrote.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut counts = Self { tools: String::new(), rounds: BTreeMap::new() };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(tools) = line.strip_prefix("tools: ") {
                counts.tools = tools.to_owned();
                continue;
            }
            let count = line.split_once(' ').and_then(|(name, count)| {
                Some((name.to_owned(), count.trim().parse().ok().filter(|count| *count > 0)?))
            });
            let (name, count) = count.ok_or_else(|| format!("no count in the line {line:?}"))?;
            counts.rounds.insert(name, count);
        }
        Ok(counts)
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = String::from(
            "# Instructions of one round of each workload.\n\
             # Written by: cargo bench --bench instructions -- --renew\n",
        );
        let _ = writeln!(text, "tools: {}", self.tools);
        for (name, count) in &self.rounds {
            let _ = writeln!(text, "{name:<28} {count:>12}");
        }
        text
    }

    /// By how many percent the counts of the same names differ at most.
    pub(crate) fn distance(&self, other: &Self) -> f64 {
        let both = self.rounds.iter().filter_map(|(name, count)| Some((*count, other.of(name)?)));
        both.map(|(count, other)| growth(other, count).abs()).fold(0.0, f64::max)
    }

    /// Compares these counts with a baseline. Those that are not there count as a failure only if
    /// all were counted.
    pub(crate) fn judge(&self, baseline: &Self, is_whole: bool) -> Verdict {
        let mut verdict = Verdict::default();
        let mut tolerance = TOLERANCE;
        if self.tools != baseline.tools {
            tolerance = TOLERANCE_OF_OTHER_TOOLS;
            verdict.say(format!(
                "the tools are not the baseline's, so {tolerance} % are tolerated, not \
                 {TOLERANCE} %\n  baseline: {}\n  here:     {}",
                baseline.tools, self.tools
            ));
        }
        for (name, count) in &self.rounds {
            let Some(before) = baseline.of(name) else {
                verdict.fail(format!("{name} is not in the baseline: renew it"));
                continue;
            };
            let growth = growth(before, *count);
            let change = format!("{name}: {before} to {count}, {growth:+.1} %");
            if growth > tolerance {
                verdict.fail(format!("GREW   {change}"));
            } else if growth < -tolerance {
                verdict.say(format!("SHRANK {change}: renew the baseline, so that it stays so"));
            }
        }
        let gone = baseline.rounds.keys().filter(|name| self.of(name).is_none());
        for name in gone.filter(|_| is_whole) {
            verdict.fail(format!("{name} is in the baseline only: renew it"));
        }
        verdict
    }

    pub(crate) fn of(&self, name: &str) -> Option<u64> {
        self.rounds.get(name).copied()
    }
}

impl Verdict {
    fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    fn fail(&mut self, line: String) {
        self.say(line);
        self.is_bad = true;
    }
}

/// In percent.
pub(crate) fn growth(before: u64, now: u64) -> f64 {
    (now as f64 / before as f64 - 1.0) * 100.0
}
