//! Whether each message of a numbered sequence comes exactly once and in order.

use std::collections::{HashMap, HashSet};

/// Numbers that may be missing at the same time, of all sequences together. Those beyond are lost
/// at once: a later arrival then counts as a duplicate.
const MISSING_MAX: usize = 1 << 20;

/// What went wrong, in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Never came.
    pub(crate) lost: u64,
    /// Came again.
    pub(crate) duplicated: u64,
    /// Came behind a later one.
    pub(crate) out_of_order: u64,
}

impl Faults {
    pub(crate) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
    }
}

/// Many sequences, each known by an index that is used densely.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    /// The number that comes next.
    next: Vec<u32>,
    /// What was jumped over, by sequence.
    missing: HashMap<usize, HashSet<u32>>,
    missing_count: usize,
    pub(crate) faults: Faults,
}

impl Sequences {
    /// Begins a sequence: `number` is the first that is due.
    pub(crate) fn begin(&mut self, sequence: usize, number: u32) {
        if sequence >= self.next.len() {
            self.next.resize(sequence + 1, 0);
        }
        self.next[sequence] = number;
    }

    /// Takes a message; false if this one had come before.
    pub(crate) fn take(&mut self, sequence: usize, number: u32) -> bool {
        let next = &mut self.next[sequence];
        if number == *next {
            *next += 1;
            return true;
        }
        self.take_unexpected(sequence, number)
    }

    /// Ends a sequence of `count` messages: what is due is lost.
    pub(crate) fn end(&mut self, sequence: usize, count: u32) {
        self.faults.lost += u64::from(count.saturating_sub(self.next[sequence]));
        if let Some(missing) = self.missing.remove(&sequence) {
            self.missing_count -= missing.len();
        }
    }

    #[cold]
    fn take_unexpected(&mut self, sequence: usize, number: u32) -> bool {
        let next = &mut self.next[sequence];
        if number > *next {
            let gap = *next..number;
            self.faults.lost += gap.len() as u64;
            if self.missing_count + gap.len() <= MISSING_MAX {
                self.missing_count += gap.len();
                self.missing.entry(sequence).or_default().extend(gap);
            }
            *next = number + 1;
            return true;
        }
        let is_late = self.missing.get_mut(&sequence).is_some_and(|set| set.remove(&number));
        if is_late {
            self.missing_count -= 1;
            self.faults.lost -= 1;
            self.faults.out_of_order += 1;
        } else {
            self.faults.duplicated += 1;
        }
        is_late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(numbers: &[u32], count: u32) -> Faults {
        let mut sequences = Sequences::default();
        sequences.begin(3, 0);
        for number in numbers {
            sequences.take(3, *number);
        }
        sequences.end(3, count);
        sequences.faults
    }

    #[test]
    fn all_in_order_is_no_fault() {
        assert_eq!(faults(&[0, 1, 2, 3], 4), Faults::default());
    }

    #[test]
    fn each_fault_is_counted_as_what_it_is() {
        assert_eq!(faults(&[0, 3], 4), Faults { lost: 2, ..Faults::default() });
        assert_eq!(faults(&[0, 1], 4), Faults { lost: 2, ..Faults::default() });
        assert_eq!(faults(&[0, 1, 1], 2), Faults { duplicated: 1, ..Faults::default() });
        assert_eq!(faults(&[0, 2, 1], 3), Faults { out_of_order: 1, ..Faults::default() });
        let both = Faults { out_of_order: 1, duplicated: 1, lost: 1 };
        assert_eq!(faults(&[0, 3, 1, 1], 4), both);
    }

    #[test]
    fn sequences_begin_where_they_are_told() {
        let mut sequences = Sequences::default();
        sequences.begin(0, 5);
        sequences.begin(1, 0);
        assert!(sequences.take(0, 5));
        assert!(sequences.take(1, 0));
        assert!(!sequences.take(0, 5));
        assert_eq!(sequences.faults.duplicated, 1);
    }
}
