//! The name that may have been meant.

/// The nearest of some names, if no more than so many slips lead to it.
pub(crate) fn nearest<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
    slips_max: usize,
) -> Option<&'a str> {
    let distances = known.map(|other| (distance(name, other), other));
    distances.min().filter(|(slips, _)| *slips <= slips_max).map(|(_, other)| other)
}

/// Letters to insert, remove or replace (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, byte) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, of_other) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(byte != of_other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, edits) in [("", "ab", 2), ("ab", "ab", 0), ("abc", "axc", 1)] {
            assert_eq!(distance(one, other), edits);
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn who_slips_too_often_is_not_understood() {
        let known = ["workers", "listen"];
        assert_eq!(nearest("worker", known.into_iter(), 2), Some("workers"));
        assert_eq!(nearest("wrkr", known.into_iter(), 2), None);
    }
}
