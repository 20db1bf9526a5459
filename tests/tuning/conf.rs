//! `sysctl/99-throng.conf` as this test reads it, by itself.

use std::fs;

pub(crate) const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sysctl/99-throng.conf");

/// One key, with all that is said above it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: Vec<u64>,
    pub(crate) rule: String,
    said: Vec<String>,
}

/// What is in the file.
pub(crate) fn entries() -> Vec<Entry> {
    let text = fs::read_to_string(PATH).expect("it is part of the repository");
    let mut entries = Vec::new();
    let mut said = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            said.push(comment.trim().to_owned());
        } else if let Some((key, value)) = line.split_once('=') {
            let rule = said.iter().find_map(|line| line.strip_prefix("Rule: ")).unwrap_or_default();
            let rule = rule.to_owned();
            let (key, value) = (key.trim().to_owned(), numbers(value));
            entries.push(Entry { key, value, rule, said: std::mem::take(&mut said) });
        } else {
            assert_eq!(line, "", "neither a comment nor key = value");
            said.clear();
        }
    }
    entries
}

/// A file with these of the entries only.
pub(crate) fn written(entries: &[Entry]) -> String {
    let line = |entry: &Entry| {
        let value: Vec<String> = entry.value.iter().map(u64::to_string).collect();
        format!("# Rule: {}\n{} = {}\n", entry.rule, entry.key, value.join(" "))
    };
    entries.iter().map(line).collect()
}

pub(crate) fn numbers(value: &str) -> Vec<u64> {
    let words = value.split_ascii_whitespace();
    words.map(|word| word.parse().expect("values are numbers")).collect()
}

#[test]
fn each_value_has_its_reason_its_unit_and_how_to_see_it() {
    let entries = entries();
    assert!(entries.len() >= 15, "{}", entries.len());
    for Entry { key, rule, said, .. } in entries {
        let [reasons @ .., _rule] = &said[..] else { panic!("nothing is said of {key}") };
        let reasons = reasons.join(" ");
        let (reason, rest) = reasons.split_once("Unit: ").unwrap_or_else(|| panic!("{key}"));
        assert!(reason.len() > 30, "{key} has no reason: {reason}");
        let (unit, see) = rest.split_once("See: ").unwrap_or_else(|| panic!("{key}"));
        assert!(!unit.is_empty() && !see.is_empty(), "{key}");
        let rules = ["at least", "at most", "within memory", "range"];
        assert!(rules.contains(&rule.to_lowercase().as_str()), "{key}: {rule}");
    }
}
