//! What is wrong with a file or a combination of options, in lines for who wrote them.

use super::definition::{Kind, OptionDef};

/// Faults that are told; there may be more.
const TOLD_MAX: usize = 20;

/// Characters of a bad value that are shown.
const SHOWN_MAX: usize = 60;

/// What is wrong, and on which line of the file; on none where it is about the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    line: Option<usize>,
    text: String,
}

impl Fault {
    /// On a line of the file.
    pub(super) fn at(line: usize, text: String) -> Self {
        Self { line: Some(line), text }
    }

    /// Where no line is to blame.
    pub(super) fn whole(text: String) -> Self {
        Self { line: None, text }
    }

    /// A value that cannot be; that of a secret is not shown.
    pub(super) fn value(line: usize, option: &OptionDef, shown: &str, why: &str) -> Self {
        let key = option.key;
        let is_shown = option.kind != Kind::Secret && !shown.is_empty();
        let value = if is_shown { format!(" {}", quote(shown)) } else { String::new() };
        Self::at(line, format!("invalid value{value} for '{key}': {why}"))
    }

    /// Its line.
    pub(super) fn line(&self) -> Option<usize> {
        self.line
    }
}

/// A bad value, in one line and not too long.
pub(super) fn quote(value: &str) -> String {
    let mut shown: String = value.escape_debug().take(SHOWN_MAX).collect();
    if value.escape_debug().nth(SHOWN_MAX).is_some() {
        shown.push_str("...");
    }
    format!("'{shown}'")
}

/// Lines for faults of this file, in the order of the file, as many as anybody reads.
pub(super) fn lines(mut faults: Vec<Fault>, file: &str) -> Vec<String> {
    faults.sort_by_key(Fault::line);
    faults.dedup();
    let more = faults.len().saturating_sub(TOLD_MAX);
    let told = faults.iter().take(TOLD_MAX).map(|Fault { line, text }| match line {
        Some(line) => format!("{file}:{line}: {text}"),
        None => text.clone(),
    });
    let more = (more > 0).then(|| format!("{file}: and {more} more"));
    told.chain(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_in_order_and_bounded() {
        let faults = (1..=23).rev().map(|line| Fault::at(line, "bad".into()));
        let faults = faults.chain([Fault::whole("--a: bad".into()), Fault::at(1, "bad".into())]);
        let lines = lines(faults.collect(), "a.toml");
        assert_eq!(lines.len(), TOLD_MAX + 1);
        assert_eq!(lines[..2], ["--a: bad", "a.toml:1: bad"]);
        assert_eq!(lines[TOLD_MAX - 1..], ["a.toml:19: bad", "a.toml: and 4 more"]);
    }

    #[test]
    fn a_value_is_shown_in_one_line() {
        assert_eq!(quote("a\n'b"), "'a\\n\\'b'");
        assert_eq!(quote(&"x".repeat(99)), format!("'{}...'", "x".repeat(SHOWN_MAX)));
    }
}
