//! Runs of frames in the order in which they are delivered.

use std::sync::Arc;

use crate::wire::Encoded;

/// Lists kept for reuse; the ones beyond are freed.
const LISTS_MAX: usize = 64;

/// Runs of one room: nearly always none or one, in two words.
#[derive(Debug, Default)]
pub(super) enum Runs {
    /// None.
    #[default]
    None,
    /// The usual case, without a list.
    One(Arc<Encoded>),
    /// Other workers have published too.
    Several(Box<Vec<Arc<Encoded>>>),
}

/// Empty lists that are used again.
#[derive(Debug, Default)]
pub(super) struct Lists(Vec<Box<Vec<Arc<Encoded>>>>);

impl Runs {
    pub(super) fn as_slice(&self) -> &[Arc<Encoded>] {
        match self {
            Self::None => &[],
            Self::One(run) => std::slice::from_ref(run),
            Self::Several(list) => list,
        }
    }

    /// The same, to be replaced by others.
    pub(super) fn as_mut_slice(&mut self) -> &mut [Arc<Encoded>] {
        match self {
            Self::None => &mut [],
            Self::One(run) => std::slice::from_mut(run),
            Self::Several(list) => list,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Adds a run at the end.
    pub(super) fn push(&mut self, run: Arc<Encoded>, lists: &mut Lists) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(run),
            Self::One(first) => {
                let mut list = lists.0.pop().unwrap_or_default();
                list.extend([first, run]);
                Self::Several(list)
            }
            Self::Several(mut list) => {
                list.push(run);
                Self::Several(list)
            }
        };
    }

    /// The last run, if nobody else has it and more may be added up to so many bytes.
    pub(super) fn last_own(&mut self, bytes_max: usize) -> Option<&mut Encoded> {
        let last = match self {
            Self::None => return None,
            Self::One(run) => run,
            Self::Several(list) => list.last_mut()?,
        };
        Arc::get_mut(last).filter(|run| run.may_grow() && run.weight() < bytes_max)
    }

    /// Takes the first runs, of so many bytes at most, but one of any size.
    pub(super) fn take_first(&mut self, bytes_max: usize, lists: &mut Lists) -> Self {
        let Self::Several(list) = self else { return std::mem::take(self) };
        let (mut count, mut bytes) = (0, 0);
        for run in list.iter() {
            bytes += run.weight();
            if count > 0 && bytes > bytes_max {
                break;
            }
            count += 1;
        }
        if count == list.len() {
            return std::mem::take(self);
        }
        let mut first = Self::None;
        list.drain(..count).for_each(|run| first.push(run, lists));
        first
    }

    /// Moves all to the end of others.
    pub(super) fn move_to(&mut self, others: &mut Self, lists: &mut Lists) {
        match std::mem::take(self) {
            Self::None => {}
            Self::One(run) => others.push(run, lists),
            Self::Several(mut list) => {
                list.drain(..).for_each(|run| others.push(run, lists));
                lists.keep(list);
            }
        }
    }

    /// Lets go of the runs.
    pub(super) fn clear(&mut self, lists: &mut Lists) {
        if let Self::Several(mut list) = std::mem::take(self) {
            list.clear();
            lists.keep(list);
        }
    }

    /// Bytes of memory.
    pub(super) fn weight(&self) -> usize {
        self.as_slice().iter().map(|run| run.weight()).sum()
    }
}

impl Lists {
    fn keep(&mut self, list: Box<Vec<Arc<Encoded>>>) {
        if self.0.len() < LISTS_MAX {
            self.0.push(list);
        }
    }

    /// Frees all.
    pub(super) fn trim(&mut self) {
        self.0 = Vec::new();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Kind;

    fn run(bytes: usize) -> Arc<Encoded> {
        let mut frames = Encoded::default();
        frames.push(Kind::Binary, &vec![7; bytes]);
        Arc::new(frames)
    }

    fn sizes(runs: &Runs) -> Vec<usize> {
        runs.as_slice().iter().map(|run| run.plain_bytes()).collect()
    }

    #[test]
    fn the_first_runs_up_to_a_bound_and_one_at_least() {
        let mut lists = Lists::default();
        let mut runs = Runs::None;
        [1000, 100, 100, 2000].into_iter().for_each(|bytes| runs.push(run(bytes), &mut lists));
        assert_eq!(sizes(&runs.take_first(10, &mut lists)), [1004]);
        assert_eq!(sizes(&runs.take_first(1000, &mut lists)), [102, 102]);
        assert_eq!(sizes(&runs.take_first(10_000, &mut lists)), [2004]);
        assert!(runs.is_empty() && runs.take_first(10, &mut lists).is_empty());
    }

    #[test]
    fn lists_are_used_again() {
        let mut lists = Lists::default();
        let mut runs = Runs::None;
        (0..3).for_each(|_| runs.push(run(1), &mut lists));
        assert!(runs.last_own(usize::MAX).is_some());
        let _other = Arc::clone(&runs.as_slice()[2]);
        assert!(runs.last_own(usize::MAX).is_none(), "another has it too");
        runs.clear(&mut lists);
        assert_eq!(lists.0.len(), 1);
        (0..2).for_each(|_| runs.push(run(1), &mut lists));
        assert!(lists.is_empty());
    }
}
