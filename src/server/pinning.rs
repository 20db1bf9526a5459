//! Which CPU each worker is pinned to.

use std::io;

use core_affinity::CoreId;

use crate::config::Pin;

/// The CPU of each of so many workers; `None` where it runs on any. See [`Pin`].
pub(super) fn cpus_of_workers(pin: &Pin, workers: usize) -> Vec<Option<usize>> {
    place(pin, &permitted(), workers)
}

/// The CPUs of the affinity mask; none where it cannot be read.
fn permitted() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

fn place(pin: &Pin, permitted: &[usize], workers: usize) -> Vec<Option<usize>> {
    let cpus = match pin {
        Pin::List(cpus) => &cpus[..],
        Pin::Auto if workers >= permitted.len() => permitted,
        Pin::Auto | Pin::Off => &[],
    };
    (0..workers).map(|worker| cpus.get(worker % cpus.len().max(1)).copied()).collect()
}

/// Pins the calling thread.
pub(super) fn pin_to(cpu: usize) -> io::Result<()> {
    if core_affinity::set_for_current(CoreId { id: cpu }) {
        Ok(())
    } else {
        Err(io::Error::other("no such CPU, or none that this process may run on"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_workers_as_cpus_have_one_each_and_fewer_have_none() {
        for (workers, cpus) in [
            (1, vec![None]),
            (2, vec![None; 2]),
            (3, vec![Some(4), Some(6), Some(7)]),
            (4, vec![Some(4), Some(6), Some(7), Some(4)]),
        ] {
            assert_eq!(place(&Pin::Auto, &[4, 6, 7], workers), cpus, "{workers}");
        }
        assert_eq!(place(&Pin::Auto, &[], 2), [None; 2]);
        assert_eq!(place(&Pin::Off, &[0], 2), [None; 2]);
        assert_eq!(place(&Pin::List(vec![5, 1]), &[0], 3), [Some(5), Some(1), Some(5)]);
    }
}
